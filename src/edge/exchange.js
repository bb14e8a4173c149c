// @ts-check
// A request and its response, as Rust sees them: every step over the boundary between WASM and
// JavaScript is here, and there are as few as there can be. A request comes over in one piece, a call
// out of the isolate is one step out and one back, and a response is one step. (Bound type by type,
// a promise alone takes six.)
//
// It decides nothing: what is asked for, how long that may take and what its outcome means is said in
// Rust. mod.rs has the other half of each function here.

// How a step may end that has no answer. mod.rs has the same numbers.
const LATE = -1;
const FAILED = -2;
const TOO_LARGE = -3;

/** @typedef {[outcome: number, bytes?: Uint8Array]} Outcome */

/** @type {string[]} */
let fields;
/** @type {(task: number, outcome: number, bytes: Uint8Array) => void} */
let resume;

/**
 * How to wake a task of the instance that trapped last.
 * @type {typeof resume | undefined}
 */
let broken;

/** Imported keys by their JWK. A project has two or three; the bound is for a set that changes all the time. */
const imported = new Map();
const IMPORTED_MAX = 64;

const NOTHING = new Uint8Array(0);

/**
 * What this instance of the module needs to know, once: the names of the headers that it reads, and how
 * to wake a task.
 * @param {string} names
 * @param {typeof resume} wake
 */
export function attach(names, wake) {
  fields = names.split("\n");
  resume = wake;
}

export class Exchange {
  /**
   * @param {Request} request
   * @param {Record<string, any>} env
   * @param {{ waitUntil(promise: Promise<unknown>): void }} context
   */
  constructor(request, env, context) {
    this.request = request;
    this.env = env;
    this.resume = resume;
    this.task = 0;
    this.step = 0;
    this.due = 0;
    this.alarm = 0;
    this.alarmAt = 0;
    this.reply = NOTHING;
    /** @type {Promise<Response>} */
    this.response = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    // A client that goes away must not end its request half-way: workerd would drop its promises, and
    // what waits for them in WASM would wait for ever.
    context.waitUntil(this.response);
  }

  /** Method, URL, and the headers, a line each: `=` and the value, or nothing if there is none. */
  head() {
    const { method, url, headers } = this.request;
    let head = `${method}\n${url}`;
    for (const field of fields) {
      const value = headers.get(field);
      head += value === null ? "\n" : `\n=${value}`;
    }
    return head;
  }

  /**
   * @param {number} max
   * @param {number} millis
   */
  body(max, millis) {
    this.await(
      drain(this.request, max).then((bytes) => [0, bytes]),
      millis,
    );
  }

  /**
   * 1 if one more event of `key` fits, 0 if it does not.
   * @param {boolean} user
   * @param {string} key
   * @param {number} millis
   */
  limit(user, key, millis) {
    this.await(limit(user ? this.env.LIMIT_USER : this.env.LIMIT_IP, key), millis);
  }

  /**
   * The status of the answer of the object of this number.
   * @param {number} shard
   * @param {string} url
   * @param {number} millis
   */
  claim(shard, url, millis) {
    this.await(claim(this.env.REPLAY, `shard-${shard}`, url), millis);
  }

  /**
   * 1 if the key made the signature, 0 if not.
   * @param {string} jwk
   * @param {Uint8Array} message
   * @param {Uint8Array} signature
   */
  verify(jwk, message, signature) {
    this.await(verify(jwk, message.slice(), signature.slice()));
  }

  /**
   * The status of the answer, and its body.
   * @param {string} head method, URL and headers
   * @param {Uint8Array | undefined} body
   * @param {number} max
   * @param {number} millis
   */
  send(head, body, max, millis) {
    this.await(this.fetch(head.split("\n"), body?.slice(), max), millis);
  }

  /** @param {number} millis */
  sleep(millis) {
    this.await(new Promise((resolve) => setTimeout(resolve, millis, [0])));
  }

  /**
   * @param {number} status
   * @param {string} head
   * @param {Uint8Array} body
   */
  respond(status, head, body) {
    clearTimeout(this.alarm);
    const headers = record(head.split("\n"), 0);
    this.resolve?.(new Response(body.length > 0 ? this.copy(body) : null, { status, headers }));
  }

  /**
   * Out of the memory of WASM, which is another's in a moment. A page of notes fits where the rows were that it
   * was made of: that saves the collector 16 kB a request.
   * @param {Uint8Array} bytes
   */
  copy(bytes) {
    if (bytes.length > this.reply.length) return bytes.slice();
    const copy = this.reply.subarray(0, bytes.length);
    copy.set(bytes);
    return copy;
  }

  /**
   * @param {string[]} head
   * @param {Uint8Array | undefined} body
   * @param {number} max
   * @returns {Promise<Outcome>}
   */
  async fetch(head, body, max) {
    const [method, url] = head;
    // A redirect would carry the user's token to wherever it points.
    const response = await fetch(url, { method, headers: record(head, 2), body, redirect: "manual" });
    this.reply = await drain(response, max);
    return [response.status, this.reply];
  }

  /**
   * Wakes the task with what comes of `outcome`, or after `millis` without it. A task waits for one thing
   * at a time; what comes of an earlier one, late, is nobody's.
   * @param {Promise<Outcome>} outcome
   * @param {number} [millis]
   */
  await(outcome, millis) {
    const step = ++this.step;
    outcome.then(
      ([result, bytes]) => this.wake(step, result, bytes),
      (error) => this.wake(step, error === TOO_LARGE ? TOO_LARGE : FAILED),
    );
    this.due = millis === undefined ? Infinity : Date.now() + millis;
    if (millis !== undefined) this.setAlarm();
  }

  /**
   * @param {number} step
   * @param {number} outcome
   */
  wake(step, outcome, bytes = NOTHING) {
    if (step !== this.step) return;
    this.step++;
    this.due = Infinity;
    try {
      if (this.resume === broken) throw new Error("the instance of the module is lost");
      this.resume(this.task, outcome, bytes);
    } catch (error) {
      // After a trap nothing in the instance's memory can be relied on: nobody is woken in it again. The shim
      // around us hears of it and makes another one for the next request.
      if (error instanceof WebAssembly.RuntimeError) broken = this.resume;
      reportError(error);
      this.reject?.(error);
    }
  }

  /** One timer for all steps of a request: most of them end long before it would be needed. */
  setAlarm() {
    if (this.alarm && this.alarmAt <= this.due) return;
    clearTimeout(this.alarm);
    this.alarmAt = this.due;
    this.alarm = setTimeout(() => {
      this.alarm = 0;
      if (this.due === Infinity) return;
      if (Date.now() < this.due) this.setAlarm();
      else this.wake(this.step, LATE);
    }, this.due - Date.now());
  }
}

/**
 * @param {{ limit(options: { key: string }): Promise<{ success: boolean }> }} limiter
 * @param {string} key
 * @returns {Promise<Outcome>}
 */
async function limit(limiter, key) {
  const { success } = await limiter.limit({ key });
  return [success ? 1 : 0];
}

/**
 * @param {any} namespace
 * @param {string} name
 * @param {string} url
 * @returns {Promise<Outcome>}
 */
async function claim(namespace, name, url) {
  const response = await namespace.get(namespace.idFromName(name)).fetch(url, { method: "POST" });
  return [response.status];
}

/**
 * @param {string} jwk
 * @param {Uint8Array} message
 * @param {Uint8Array} signature
 * @returns {Promise<Outcome>}
 */
async function verify(jwk, message, signature) {
  let key = imported.get(jwk);
  if (!key) {
    const material = JSON.parse(jwk);
    const algorithm =
      material.kty === "EC" ? { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } : { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
    key = { algorithm, key: await crypto.subtle.importKey("jwk", material, algorithm, false, ["verify"]) };
    if (imported.size >= IMPORTED_MAX) imported.clear();
    imported.set(jwk, key);
  }
  return [(await crypto.subtle.verify(key.algorithm, key.key, signature, message)) ? 1 : 0];
}

/**
 * The whole body, or TOO_LARGE.
 * @param {Request | Response} message
 * @param {number} max
 */
async function drain({ body, headers }, max) {
  if (body === null) return NOTHING;
  const reader = body.getReader({ mode: "byob" });
  // One read takes what was declared, and finds the end. A body that holds more, as a compressed one does or one
  // whose length is a lie, is counted on.
  const length = headers.get("content-length") ?? "";
  const declared = /^\d{1,9}$/.test(length) ? Number(length) : 16_383;
  const chunks = [];
  let total = 0;
  for (let room = Math.min(declared, max) + 1; ; room = Math.min(total, max - total) + 1) {
    const { done, value } = await reader.readAtLeast(room, new Uint8Array(room));
    if (value) chunks.push(value);
    total += value?.length ?? 0;
    if (total > max) {
      reader.cancel().catch(() => {});
      throw TOO_LARGE;
    }
    if (done || value.length < room) return chunks.length === 1 ? chunks[0] : join(chunks, total);
  }
}

/**
 * @param {Uint8Array[]} chunks
 * @param {number} total
 */
function join(chunks, total) {
  const whole = new Uint8Array(total);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

/**
 * Headers, names and values by turns.
 * @param {string[]} lines
 * @param {number} from
 */
function record(lines, from) {
  /** @type {Record<string, string>} */
  const headers = {};
  for (let i = from; i + 1 < lines.length; i += 2) headers[lines[i]] = lines[i + 1];
  return headers;
}
