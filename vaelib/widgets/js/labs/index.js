// Every lab by the name that Python gives it as `kind`.

import bends from "./bends.js";
import bugHunt from "./bug_hunt.js";
import causes from "./causes.js";
import codebook from "./codebook.js";
import darts from "./darts.js";
import derivation from "./derivation.js";
import diffusion from "./diffusion.js";
import elbo from "./elbo.js";
import gradient from "./gradient.js";
import kl from "./kl.js";
import klMap from "./kl_map.js";
import gradientRace from "./gradient_race.js";
import latentCodes from "./latent_codes.js";
import parts from "./parts.js";
import * as predict from "./predict.js";
import regression from "./regression.js";
import ruler from "./ruler.js";
import simplex from "./simplex.js";
import water from "./water.js";
import wrongLoss from "./wrong_loss.js";
import yourDigit from "./your_digit.js";

export const labs = { bends, bug_hunt: bugHunt, causes, codebook, darts, derivation, diffusion, elbo, kl, kl_map: klMap, gradient, gradient_race: gradientRace, latent_codes: latentCodes, parts, predict_choice: predict.choice, predict_place: predict.place, predict_curve: predict.curve, regression, ruler, simplex, water, wrong_loss: wrongLoss, your_digit: yourDigit };
