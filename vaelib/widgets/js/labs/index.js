// Every lab by the name that Python gives it as `kind`.

import elbo from "./elbo.js";

export const labs = { elbo };
