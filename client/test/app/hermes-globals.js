// As React Native's setUpXHR.js sets them.
import { AbortController, AbortSignal } from "abort-controller/dist/abort-controller";
import { Headers, Request, Response } from "whatwg-fetch";

/** React Native's Hermes has TextEncoder; that of hermes-engine-cli is older. */
class TextEncoder {
  encode(text) {
    const utf8 = unescape(encodeURIComponent(text));
    return Uint8Array.from(utf8, (character) => character.charCodeAt(0));
  }
}

const console = { assert() {}, warn() {}, error: print };

/** The VM's timers do not wait. Here each round of its queue is a millisecond. */
const soon = globalThis.setTimeout;
const ended = new Set();
let made = 0;
function setTimeout(callback, milliseconds = 0) {
  const timer = ++made;
  const wait = (left) => soon(() => ended.has(timer) || (left > 0 ? wait(left - 1) : callback()));
  wait(milliseconds);
  return timer;
}
const clearTimeout = (timer) => void ended.add(timer);

Object.assign(globalThis, {
  AbortController,
  AbortSignal,
  Headers,
  Request,
  Response,
  TextEncoder,
  clearTimeout,
  console,
  setTimeout,
});
