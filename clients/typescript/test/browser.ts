// What a test evaluates in a page.
export { log } from "./readers.js";
export { checkVectors } from "./vectors.js";
