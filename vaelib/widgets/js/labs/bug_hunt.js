// Lesson 10: the bug hunt. What the models showed comes from Python; here the points are counted and the pages turned.
// vaelib/teaching/bug_hunt.py holds the same rules.

import { html } from "../engine/elements.js";

const NOBODY = ".";

const numberOf = (name) => Number(name.replace("case ", "")); // cases count from 1

/** The letters of one case within the text of all. */
const rowOf = (text, k, length) => text.slice(k * length, (k + 1) * length);
const withMark = (text, at, letter) => text.slice(0, at) + letter + text.slice(at + 1);

const points = (n) => `${n} point${n === 1 ? "" : "s"}`;

export default {
  resetText: "Start over",

  numbers({ suspects, questions, letters, points }, { asked, accused }) {
    const named = suspects.map((_, k) => letters.indexOf(accused[k])); // −1 where nobody is accused
    const left = suspects.map(({ bug }, k) => {
      if (named[k] >= 0 && named[k] !== bug) return 0;
      const row = rowOf(asked, k, questions.length);
      return Math.max(0, points - questions.reduce((sum, [, price], i) => sum + (row[i] === "1" ? price : 0), 0));
    });
    const solved = suspects.map(({ bug }, k) => named[k] === bug);
    return {
      points: left,
      closed: named.map((k) => Number(k >= 0)),
      solved: solved.filter(Boolean).length,
      score: left.reduce((sum, each, k) => sum + (solved[k] ? each : 0), 0),
    };
  },

  draw(stage, { suspects, questions, bugs, letters, test }) {
    const { picture } = stage;
    const now = () => ({ ...stage.values, k: numberOf(stage.values.case) - 1 });

    const board = html(picture, "div", { class: "board", role: "group", "aria-label": "the cases" });
    const cases = suspects.map((_, k) => {
      const button = html(board, "button", { type: "button", text: k + 1 });
      stage.onPicture(button, "click", () => stage.set({ case: `case ${k + 1}` }));
      return button;
    });

    const title = html(picture, "div", { class: "question" });
    const log = html(picture, "div");
    const desk = html(picture, "div", { class: "desk" });
    const strips = ["test images", ...questions.slice(0, 2).map(([name]) => name)].map((text) => {
      const row = html(desk, "figure");
      html(row, "figcaption", { text });
      return { row, image: html(row, "img", { alt: text, class: "sharp" }) };
    });

    html(picture, "div", { class: "title", text: "Ask" });
    const list = html(picture, "div", { class: "questions", "aria-live": "polite" }); // an answer is read out
    const rows = questions.map(([name, price], i) => {
      const row = html(list, "div");
      const button = html(row, "button", { type: "button", text: `${name} · ${points(price)}` });
      stage.onPicture(button, "click", () => {
        const { asked, k } = now();
        stage.set({ asked: withMark(asked, k * questions.length + i, "1") });
      });
      return { button, answer: html(row, "span", { class: "answer" }) };
    });

    html(picture, "div", { class: "title", text: "Accuse, once" });
    const court = html(picture, "div", { class: "buttons" });
    const menu = html(court, "select", { "aria-label": "the bug to accuse" });
    html(menu, "option", { value: NOBODY, text: "which bug is it?" });
    [...bugs.keys()].sort((a, b) => bugs[a][0].localeCompare(bugs[b][0], "en")).forEach((k) =>
      html(menu, "option", { value: letters[k], text: bugs[k][0] }));
    const accuse = html(court, "button", { type: "button", text: "Accuse" });
    const ready = () => (accuse.disabled = menu.disabled || menu.value === NOBODY);
    stage.onPicture(menu, "change", ready);
    stage.onPicture(accuse, "click", () => {
      const { accused, k } = now();
      stage.set({ accused: withMark(accused, k, menu.value) });
    });
    const verdict = html(picture, "div", { class: "verdict" });

    let shown = null;
    return ({ points: left, closed }, { case: name, asked, accused }) => {
      const k = numberOf(name) - 1;
      const { bug, log: text, data, found, images } = suspects[k];
      cases.forEach((button, i) => {
        const solved = closed[i] && left[i] >= 0 && letters.indexOf(accused[i]) === suspects[i].bug;
        button.dataset.mark = closed[i] ? (solved ? "right" : "wrong") : "";
        button.setAttribute("aria-pressed", String(i === k));
        const state = closed[i] ? (solved ? `solved, ${points(left[i])}` : "not solved") : "open";
        button.setAttribute("aria-label", `case ${i + 1}, ${state}`);
      });
      title.textContent = `Case ${k + 1}, ${data}: ${closed[k] ? "closed" : `${points(left[k])} left`}`;
      log.textContent = text.replace(/^case [^:]*: /, "The training log, for free: ");
      const row = rowOf(asked, k, questions.length);
      [test[data], ...images].forEach((png, i) => {
        const { row: strip, image } = strips[i];
        strip.hidden = i > 0 && row[i - 1] !== "1" && !closed[k];
        if (strip.hidden) return image.remove(); // an image without a source is a broken one
        image.src = `data:image/png;base64,${png}`;
        strip.append(image);
      });
      rows.forEach(({ button, answer }, i) => {
        const open = row[i] === "1" || closed[k];
        button.disabled = open;
        answer.textContent = open ? found[i].filter(Boolean).join(" ") : "";
        answer.dataset.mark = open ? found[i][0] : "";
      });
      if (shown !== name) menu.value = NOBODY;
      shown = name;
      menu.disabled = Boolean(closed[k]);
      if (closed[k]) menu.value = accused[k];
      ready();
      verdict.replaceChildren();
      if (!closed[k]) return;
      const [called, right, wrong] = bugs[bug];
      const solved = letters.indexOf(accused[k]) === bug;
      html(verdict, "div", { text: solved ? `Solved, ${points(left[k])}: ${called}.` : `No. It is: ${called}.` });
      html(verdict, "pre", { text: `right   ${right}\nwrong   ${wrong}` });
    };
  },

  readout({ points: left, closed, solved, score }, { case: name }) {
    const k = numberOf(name) - 1;
    const all = closed.reduce((a, b) => a + b, 0);
    return [
      `Score ${score}. ${solved} solved of ${all} closed, of ${closed.length} cases in all.`,
      `Case ${k + 1}: ${closed[k] ? `closed, ${points(left[k])}` : `open, ${points(left[k])} left`}.`,
    ];
  },
};
