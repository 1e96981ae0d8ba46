// Nothing is cut. A table too wide for its place is laid out row under row; a formula is never broken: it becomes
// smaller, and where it would become too small to read it gets a scroll of its own that the keyboard reaches.
(() => {
  const SMALLEST = 0.55; // of the size of the text around it
  const roles = { TABLE: "table", THEAD: "rowgroup", TBODY: "rowgroup", TR: "row", TD: "cell", TH: "columnheader" };

  function fitFormula(formula, place) {
    formula.style.fontSize = "";
    place.classList.remove("scrolls");
    place.removeAttribute("tabindex");
    const room = place.clientWidth;
    let needed = place.scrollWidth;
    if (!room || needed <= room) return;
    // A narrower font is not exactly narrower by its ratio: measure again.
    let size = 1;
    for (let i = 0; i < 4 && needed > room && size > SMALLEST; i++) {
      size = Math.max(SMALLEST, (size * room) / needed - 0.005);
      formula.style.fontSize = `${100 * size}%`;
      needed = place.scrollWidth;
    }
    if (needed > room) {
      formula.style.fontSize = "85%"; // what scrolls anyway may as well be read
      place.classList.add("scrolls");
      place.tabIndex = 0;
    }
  }

  function fitTable(place) {
    const table = place.querySelector("table");
    if (!table) return;
    place.classList.remove("stacked");
    for (const part of [table, ...table.querySelectorAll("thead, tbody, tr, td, th")]) part.removeAttribute("role");
    if (place.scrollWidth <= place.clientWidth) return;
    // Rows that are blocks are no table to a screen reader any more, unless they say so.
    place.classList.add("stacked");
    for (const part of [table, ...table.querySelectorAll("thead, tbody, tr, td, th")]) part.setAttribute("role", roles[part.tagName]);
  }

  function fit() {
    document.querySelectorAll(".wide").forEach(fitTable);
    for (const place of document.querySelectorAll(".MathJax_Display")) fitFormula(place.firstElementChild ?? place, place);
    for (const formula of document.querySelectorAll("span.MathJax")) {
      if (formula.closest(".MathJax_Display")) continue;
      const block = formula.closest("p, li, td, th, dd, dt, h1, h2, h3, h4, summary, figcaption, div");
      if (!block) continue;
      formula.style.fontSize = "";
      const room = block.clientWidth - parseFloat(getComputedStyle(block).paddingLeft);
      const needed = formula.getBoundingClientRect().width;
      if (room > 0 && needed > room) formula.style.fontSize = `${100 * Math.max(0.4, room / needed - 0.01)}%`;
    }
  }

  let width = innerWidth;
  let later = 0;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    clearTimeout(later);
    // A formula with a number is set for the width that it was given: it is set again.
    later = setTimeout(() => (window.MathJax?.Hub ? MathJax.Hub.Queue(["Rerender", MathJax.Hub], fit) : fit()), 150);
  });
  document.addEventListener("toggle", (event) => { if (event.target.open) fit(); }, true); // a folded place has no width
  window.fitPage = fit;
  fit();
})();
