import { fileURLToPath } from "node:url";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  root: here("."),
  base: "./", // the server says with <base> where the page is
  plugins: [svelte()],
  publicDir: false,
  resolve: { alias: { "raincheck-client": here("../clients/typescript/src/index.ts") } },
  build: {
    target: "es2022",
    outDir: here("../src/raincheck/dashboard/static"),
    emptyOutDir: true,
    assetsInlineLimit: 0, // the policy of the page forbids data: but for images
    modulePreload: { polyfill: false },
    cssCodeSplit: false,
    reportCompressedSize: false,
    rollupOptions: {
      output: { entryFileNames: "assets/[name]-[hash].js", chunkFileNames: "assets/[name]-[hash].js" },
    },
  },
});
