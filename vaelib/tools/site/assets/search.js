// Search in the reader's own browser. The index is a script, because a page from file:// may load that; it is loaded
// when somebody searches, and not before.
(() => {
  const form = document.querySelector("form.search");
  const [field, found] = form.children;
  let ready = null;

  const script = (address) => new Promise((done, failed) => {
    document.head.append(Object.assign(document.createElement("script"), { src: address, onload: done, onerror: failed }));
  });
  const load = () => (ready ??= Promise.all([script("assets/minisearch.js"), script("assets/search-index.js")]).then(() => {
    const search = new window.MiniSearch({
      fields: ["title", "text", "page"],
      storeFields: ["title", "page", "text"],
      searchOptions: { boost: { title: 4, page: 2 }, prefix: true, fuzzy: (term) => (term.length > 4 ? 0.2 : false), combineWith: "AND" },
    });
    search.addAll(window.searchEntries);
    return search;
  }));

  // The words around the first hit.
  function excerpt(text, words) {
    const at = Math.max(0, Math.min(...words.map((word) => text.toLowerCase().indexOf(word)).filter((i) => i >= 0), text.length) - 50);
    return `${at ? "…" : ""}${text.slice(at === text.length - 50 ? 0 : at, at + 130)}…`;
  }

  async function show() {
    const query = field.value.trim();
    if (!query) { found.hidden = true; return; }
    const results = (await load()).search(query).slice(0, 8);
    if (field.value.trim() !== query) return; // an answer to what was asked before
    found.replaceChildren();
    const said = document.createElement("p");
    said.setAttribute("role", "status");
    said.textContent = results.length ? "" : "Nothing found.";
    const list = document.createElement("ul");
    for (const result of results) {
      const link = Object.assign(document.createElement("a"), { href: result.id });
      const place = Object.assign(document.createElement("span"), { className: "where", textContent: result.page });
      const text = Object.assign(document.createElement("span"), { className: "text", textContent: excerpt(result.text, result.terms) });
      link.append(Object.assign(document.createElement("b"), { textContent: result.title }), place, text);
      const item = document.createElement("li");
      item.append(link);
      list.append(item);
    }
    found.append(said, list);
    found.hidden = false;
  }

  field.addEventListener("focus", load);
  field.addEventListener("input", show);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    found.querySelector("a")?.click();
  });
  form.addEventListener("keydown", (event) => {
    const links = [field, ...found.querySelectorAll("a")];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") { found.hidden = true; field.focus(); }
    if (!step || found.hidden) return;
    event.preventDefault();
    links[Math.min(links.length - 1, Math.max(0, links.indexOf(document.activeElement) + step))].focus();
  });
  form.addEventListener("focusout", (event) => { if (!form.contains(event.relatedTarget)) found.hidden = true; });
  found.addEventListener("click", () => { found.hidden = true; });
  addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target.closest("input, textarea, select")) return;
    event.preventDefault();
    field.focus();
  });
  form.hidden = false;
})();
