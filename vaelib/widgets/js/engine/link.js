// A lab's state in the page's address: #lab-2?mu=0.5&sigma=1. Only a page of the site has an address to share.

import { parsed } from "./controls.js";

const onSite = () => document.documentElement.dataset.host === "vaelib-site";
const homeOf = (el) => (onSite() ? el.closest(".explorer[id]") : null);

/** The values that the address gives the lab in this element; empty where it gives none. */
export function valuesInAddress(el, controls) {
  const home = homeOf(el);
  const [id, query] = location.hash.slice(1).split("?");
  if (!home || !query || id !== home.id) return {};
  const given = new URLSearchParams(query);
  const values = {};
  for (const control of controls) {
    const value = given.has(control.name) ? parsed(control, given.get(control.name)) : undefined;
    if (value !== undefined) values[control.name] = value;
  }
  requestAnimationFrame(() => home.scrollIntoView());
  return values;
}

/** Where states can be shared: the function that puts one into the address and returns the whole link; else null. */
export function sharer(el) {
  const home = homeOf(el);
  if (!home) return null;
  return (values) => {
    const address = new URL(location.href);
    address.hash = `${home.id}?${new URLSearchParams(values)}`;
    history.replaceState(null, "", address);
    return address.href;
  };
}
