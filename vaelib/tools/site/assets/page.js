// What every page does for its reader: theme, copied code, lessons done, the place in the contents, answers in print.
(() => {
  const root = document.documentElement;
  // A browser may refuse to keep anything for a page, and the page works all the same.
  const memory = {
    get(key) { try { return localStorage.getItem(key); } catch { return null; } },
    set(key, value) { try { value === null ? localStorage.removeItem(key) : localStorage.setItem(key, value); } catch { /* not kept */ } },
  };

  // Theme: the system's until the reader chooses.
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const button = document.querySelector("button.theme");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const name = () => {
    button.textContent = isDark() ? "Light" : "Dark";
    button.setAttribute("aria-label", `Switch to the ${isDark() ? "light" : "dark"} theme`);
  };
  button.addEventListener("click", () => {
    const wanted = isDark() ? "light" : "dark";
    root.dataset.theme = wanted;
    // Back at what the system says: follow it again.
    memory.set("vaelib-theme", (wanted === "dark") === dark.matches ? null : wanted);
    name();
  });
  dark.addEventListener("change", name);
  name();
  button.hidden = false;

  // Code to take along.
  for (const code of document.querySelectorAll("article .code, article .text pre")) {
    const copy = Object.assign(document.createElement("button"), { type: "button", className: "copy", textContent: "Copy" });
    copy.setAttribute("aria-label", "Copy this code");
    copy.addEventListener("click", async () => {
      const text = (code.matches("pre") ? code.firstElementChild : code.querySelector("pre")).textContent.replace(/\n$/, "");
      try {
        await navigator.clipboard.writeText(text);
        copy.textContent = "Copied";
      } catch {
        copy.textContent = "Not allowed here";
      }
      setTimeout(() => (copy.textContent = "Copy"), 2000);
    });
    const place = document.createElement("div");
    place.className = "copied";
    code.before(place);
    place.append(code, copy);
  }

  // Lessons that this reader has done.
  const finished = new Set(JSON.parse(memory.get("vaelib-done") ?? "[]"));
  const lesson = document.body.dataset.lesson;
  const done = document.querySelector("button.done");
  const show = () => {
    for (const place of document.querySelectorAll("[data-of]")) place.classList.toggle("is-done", finished.has(place.dataset.of));
    if (!done) return;
    done.setAttribute("aria-pressed", finished.has(lesson));
    done.textContent = finished.has(lesson) ? "✓ This lesson is done" : "Mark this lesson as done";
  };
  if (done) {
    done.addEventListener("click", () => {
      finished.has(lesson) ? finished.delete(lesson) : finished.add(lesson);
      memory.set("vaelib-done", JSON.stringify([...finished]));
      show();
    });
    done.hidden = false;
  }
  show();

  // The section that is being read, marked in the contents: the last heading above the upper third of the window.
  const headings = [...document.querySelectorAll("article h2[id]")];
  const links = [...document.querySelectorAll(".sections a")];
  let waiting = false;
  const mark = () => {
    waiting = false;
    const read = headings.findLast((heading) => heading.getBoundingClientRect().top < innerHeight / 3);
    for (const link of links) {
      const here = read && decodeURIComponent(link.hash.slice(1)) === read.id;
      here ? link.setAttribute("aria-current", "location") : link.removeAttribute("aria-current");
    }
  };
  if (headings.length) {
    addEventListener("scroll", () => { if (!waiting) { waiting = true; requestAnimationFrame(mark); } }, { passive: true });
    mark();
  }

  // On paper nothing can be opened: the answers are printed open.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll(".text details:not([open])")];
    for (const answer of opened) answer.open = true;
  });
  addEventListener("afterprint", () => { for (const answer of opened) answer.open = false; });

  // A link to a lab in some state, #lab-2?mu=0.5: the lab reads the state, and the page goes to the lab. What stands above
  // it grows while formulas are set, so the page goes there again.
  const [, lab] = location.hash.match(/^#(lab-\d+)\?/) ?? [];
  const goToLab = () => document.getElementById(lab)?.scrollIntoView();
  if (lab) {
    goToLab();
    new MutationObserver((_, observer) => { observer.disconnect(); goToLab(); }).observe(root, { attributeFilter: ["class"] });
  }

  // A link to what stands folded opens it.
  const reveal = () => {
    const place = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const folds = [];
    for (let fold = place?.closest("details"); fold; fold = fold.parentElement.closest("details")) folds.push(fold);
    if (!folds.some((fold) => !fold.open)) return;
    for (const fold of folds) fold.open = true;
    place.scrollIntoView();
  };
  reveal();
  addEventListener("hashchange", reveal);

  // What runs in the browser with a server cannot run from a file.
  if (location.protocol === "file:") for (const link of document.querySelectorAll("a.lite")) link.remove();
  for (const place of document.querySelectorAll(".runs")) if (!place.querySelector("a")) place.remove();

  // A menu closes when the reader turns to something else.
  const menu = document.querySelector("details.menu");
  menu?.addEventListener("focusout", (event) => { if (event.relatedTarget && !menu.contains(event.relatedTarget)) menu.open = false; });
  document.addEventListener("click", (event) => { if (menu?.open && !menu.contains(event.target)) menu.open = false; });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && menu?.open) { menu.open = false; menu.firstElementChild.focus(); } });
})();
