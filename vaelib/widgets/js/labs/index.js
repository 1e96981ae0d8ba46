// Every lab by the name that Python gives it as `kind`.

import derivation from "./derivation.js";
import elbo from "./elbo.js";

export const labs = { derivation, elbo };
