// MathJax's settings. Fonts come from fonts.js as text, because a page opened from file:// may load no font file.
window.MathJax = {
  messageStyle: "none",
  showMathMenu: false,
  menuSettings: { zoom: "None" },
  tex2jax: {
    inlineMath: [["$", "$"]], displayMath: [["$$", "$$"]], processEscapes: true,
    ignoreClass: "code|output", processClass: "tex", // of an output the captions alone hold formulas
  },
  "HTML-CSS": {
    availableFonts: [], webFont: "STIX-Web", imageFont: null, scale: 92, EqnChunk: 1000,
  },
  // An error is shown as an error, not as raw TeX: the tests look for it.
  TeX: { noErrors: { disabled: true }, noUndefined: { disabled: true } },
  AuthorInit() {
    // After the packed configuration, which lists more than a page needs.
    MathJax.Hub.Register.StartupHook("End Config", () => {
      const { config } = MathJax.Hub;
      config.jax = ["input/TeX", "output/HTML-CSS"];
      config.extensions = ["tex2jax.js", "TeX/AMSmath.js", "TeX/AMSsymbols.js", "AssistiveMML.js"];
    });
    // The packed file brings a second output along, whose style sheet asks for fonts of its own.
    MathJax.Hub.Register.StartupHook("NativeMML Jax Startup", () => {
      const { styles } = MathJax.OutputJax.NativeMML.config;
      for (const rule of Object.keys(styles)) if (rule.startsWith("@font-face")) delete styles[rule];
    });
    MathJax.Hub.Register.StartupHook("HTML-CSS Jax Startup", () => {
      const { Font, FONTDATA, config } = MathJax.OutputJax["HTML-CSS"];
      config.styles["@font-face"].src = "local('a font that is nowhere')"; // was the address about:blank
      Font.fontFace = (name) => {
        const file = name.replace("STIXMathJax_", "").replace(/-bold/, "-Bold").replace(/-italic/, "-Italic")
          .replace("-Bold-Italic", "-BoldItalic");
        const bytes = window.mathFonts[file.includes("-") ? file : `${file}-Regular`];
        const face = { "font-family": FONTDATA.FONTS[name].family };
        if (bytes) face.src = `url(data:font/woff;base64,${bytes}) format('woff')`;
        else console.error(`no font ${file} in fonts.js: see LEFT_OUT in vaelib/tools/site/mathjax.py`);
        if (name.includes("-bold")) face["font-weight"] = "bold";
        if (name.includes("-italic")) face["font-style"] = "italic";
        return face;
      };
    });
    MathJax.Hub.Register.StartupHook("End", () => {
      window.fitPage(); // formulas have their width only now
      document.documentElement.classList.add("math-done");
    });
  },
};
