// The Worker of airlock-edge, with the resources of airlock.toml. `npm run build` puts both into build/.

export { default } from "./build/index.js";
