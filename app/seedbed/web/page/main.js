// The page, composed: the catalogue is asked for once, and each section made from it.

import { setUpAdvice } from "./advice.js";
import { get, getIfThere } from "./api.js";
import { setUpCatalogue } from "./catalogue.js";
import { setUpCompare } from "./compare.js";
import { byId } from "./dom.js";
import { setUpDraw } from "./draw.js";
import { showProblem } from "./problems.js";
import { setUpTheme } from "./theme.js";

setUpTheme(byId("theme"));

try {
  const models = getIfThere("v1/models"); // hundreds may be planned for it: it may come later
  models.catch(() => null); // said where it is wanted
  const [schemes, layers, dtypes] = await Promise.all([
    get("v1/schemes"),
    get("v1/layers"),
    get("v1/dtypes"),
  ]);
  const draw = await setUpDraw({ schemes, layers, dtypes, models });
  setUpCatalogue({ schemes, layers, draw });
  const api = await get("openapi.json"); // what else this service can do, and by which words
  setUpAdvice(api, draw);
  setUpCompare(api, schemes);
  if (location.hash) byId(location.hash.slice(1))?.scrollIntoView();
} catch (error) {
  byId("results").setAttribute("aria-busy", "false");
  byId("headline").textContent = "There is nothing to show yet.";
  showProblem(byId("draw-problem"), error);
}
