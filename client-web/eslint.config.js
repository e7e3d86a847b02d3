import svelte from "eslint-plugin-svelte";
import tseslint from "typescript-eslint";
import svelteConfig from "./svelte.config.js";

const onlyInMatrix = {
  "no-restricted-imports": ["error", {
    patterns: [{
      group: ["matrix-js-sdk", "matrix-js-sdk/*", "@matrix-org/*"],
      message: "Only src/matrix speaks to the Matrix library.",
    }],
  }],
};

const noEntry = {
  "no-restricted-imports": ["error", {
    paths: [{
      name: "matrix-js-sdk",
      message: "Its entry keeps all of it in a global: take matrix-js-sdk/lib/matrix.js.",
    }],
  }],
};

export default tseslint.config(
  { ignores: ["dist/", "node_modules/"] },
  ...tseslint.configs.strict,
  ...svelte.configs.recommended,
  {
    files: ["**/*.svelte", "**/*.svelte.ts"],
    languageOptions: { parserOptions: { parser: tseslint.parser, extraFileExtensions: [".svelte"], svelteConfig } },
  },
  {
    rules: {
      "no-console": "error",
      "no-undef": "off",
      "max-len": ["error", { code: 120, ignoreUrls: true, ignoreStrings: true, ignoreTemplateLiterals: true }],
      "@typescript-eslint/no-non-null-assertion": "error",
      "svelte/no-at-html-tags": "error",
      // Plain sets and maps are used inside one computation, never shown.
      "svelte/prefer-svelte-reactivity": "off",
    },
  },
  { files: ["src/**"], ignores: ["src/matrix/**"], rules: onlyInMatrix },
  { files: ["src/matrix/**", "tests/**"], rules: noEntry },
  { files: ["tools/**"], rules: { "no-console": "off" } },
);
