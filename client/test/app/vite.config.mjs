// Bundles the packages too, as for a browser.
export default { ssr: { noExternal: true } };
