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

/** @typedef {Uint8Array<ArrayBuffer>} Bytes */
/** @typedef {[outcome: number, bytes?: Bytes]} Outcome */

/** @type {string[]} */
let fields;
/** @type {(string | null)[]} */
let withoutBody;
/** @type {(task: number, outcome: number, bytes: Bytes) => boolean} */
let resume;

/**
 * Puts a new instance in the place of the module's.
 * @type {() => void}
 */
let replace;

/** @param {() => void} reset */
export function onTrap(reset) {
  replace = reset;
}

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
  withoutBody = fields.map((name) => (name.startsWith("content-") ? null : name));
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
    this.context = context;
    this.outlives = false;
    this.resume = resume;
    this.task = 0;
    this.step = 0;
    this.due = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.alarm = undefined;
    this.alarmAt = 0;
    this.reply = NOTHING;
    /** @type {Promise<Response>} */
    this.response = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  /** From here on a client that goes away does not end its request: workerd would drop its promises half-way. */
  outlive() {
    if (this.outlives) return;
    this.outlives = true;
    this.context.waitUntil(this.response);
  }

  /**
   * Method, URL, and the headers, a line each: `=` and the value, or nothing if there is none. Those about a body are
   * looked for where there may be one.
   */
  head() {
    const { method, url, headers, body } = this.request;
    const read = method === "GET" && body === null ? withoutBody : fields;
    const lines = [method, url];
    for (const field of read) {
      const value = field && headers.get(field);
      lines.push(value === null ? "" : `=${value}`);
    }
    // In one piece: a text that is put together bit by bit is slow to read.
    return lines.join("\n");
  }

  /**
   * @param {number} max
   * @param {number} millis
   */
  body(max, millis) {
    this.await(() => drain(this.request, max), (bytes) => [0, bytes], millis);
  }

  /**
   * 1 if one more event of `key` fits, 0 if it does not.
   * @param {boolean} user
   * @param {string} key
   * @param {number} millis
   */
  limit(user, key, millis) {
    const limiter = user ? this.env.LIMIT_USER : this.env.LIMIT_IP;
    this.await(() => limiter.limit({ key }), ({ success }) => [success ? 1 : 0], millis);
  }

  /**
   * The status of the answer of the object of this number.
   * @param {number} shard
   * @param {string} url
   * @param {number} millis
   */
  claim(shard, url, millis) {
    const namespace = this.env.REPLAY;
    const ask = () => namespace.get(namespace.idFromName(`shard-${shard}`)).fetch(url, { method: "POST" });
    this.await(ask, ({ status }) => [status], millis);
  }

  /**
   * 1 if the key made the signature, 0 if not.
   * @param {string} jwk
   * @param {Bytes} message
   * @param {Bytes} signature
   */
  verify(jwk, message, signature) {
    this.await(() => verify(jwk, message.slice(), signature.slice()), (good) => [good ? 1 : 0]);
  }

  /**
   * The status of the answer, and its body.
   * @param {string} head method, URL and headers
   * @param {Bytes | undefined} body
   * @param {number} max
   * @param {number} millis
   */
  send(head, body, max, millis) {
    const outcome = (/** @type {[number, Bytes]} */ [status, reply]) => {
      this.reply = reply;
      return /** @type {Outcome} */ ([status, reply]);
    };
    this.await(() => this.fetch(head.split("\n"), body?.slice(), max), outcome, millis);
  }

  /** @param {number} millis */
  sleep(millis) {
    this.await(() => new Promise((resolve) => setTimeout(resolve, millis)), () => [0]);
  }

  /**
   * @param {number} status
   * @param {string} head
   * @param {Bytes} body
   */
  respond(status, head, body) {
    clearTimeout(this.alarm);
    const headers = record(head.split("\n"), 0);
    this.resolve?.(new Response(body.length > 0 ? this.copy(body) : null, { status, headers }));
  }

  /**
   * Out of the memory of WASM, which is another's in a moment. A page of notes fits where the rows were that it
   * was made of: that saves the collector 16 kB a request.
   * @param {Bytes} bytes
   */
  copy(bytes) {
    if (bytes.length > this.reply.length) return bytes.slice();
    const copy = this.reply.subarray(0, bytes.length);
    copy.set(bytes);
    return copy;
  }

  /**
   * @param {string[]} head
   * @param {Bytes | undefined} body
   * @param {number} max
   * @returns {Promise<[status: number, reply: Bytes]>}
   */
  async fetch(head, body, max) {
    const [method, url = ""] = head;
    // A redirect would carry the user's token to wherever it points.
    const response = await fetch(url, { method, headers: record(head, 2), body, redirect: "manual" });
    return [response.status, await drain(response, max)];
  }

  /**
   * Wakes the task with what comes of it, or after `millis` without that. A task waits for one thing at a time;
   * what comes of an earlier one, late, is nobody's.
   * @template T
   * @param {() => Promise<T>} begin
   * @param {(value: T) => Outcome} outcomeOf
   * @param {number} [millis]
   */
  await(begin, outcomeOf, millis) {
    const step = ++this.step;
    const failed = (/** @type {unknown} */ error) => this.wake(step, error === TOO_LARGE ? TOO_LARGE : FAILED);
    try {
      begin().then((value) => {
        if (step !== this.step) return;
        /** @type {Outcome} */
        let outcome = [FAILED];
        try {
          outcome = outcomeOf(value);
        } catch {
          // It is not what was asked for.
        }
        this.wake(step, ...outcome);
      }, failed);
    } catch (error) {
      Promise.reject(error).catch(failed);
    }
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
      if (!this.resume(this.task, outcome, bytes)) throw new Error("the task was given up");
    } catch (error) {
      // After a trap nothing in the instance's memory can be relied on. It is replaced there and then: whoever waits
      // in the old one is refused by the bindings, and fails.
      if (error instanceof WebAssembly.RuntimeError) replace();
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
      this.alarm = undefined;
      if (this.due === Infinity) return;
      if (Date.now() < this.due) this.setAlarm();
      else this.wake(this.step, LATE);
    }, this.due - Date.now());
  }
}

/**
 * @param {string} jwk
 * @param {Bytes} message
 * @param {Bytes} signature
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
  return crypto.subtle.verify(key.algorithm, key.key, signature, message);
}

/**
 * The whole body, or TOO_LARGE.
 * @param {Request | Response} message
 * @param {number} max
 */
async function drain(message, max) {
  const { body, headers } = message;
  if (body === null) return NOTHING;
  const declared = headers.get("content-length");
  // HTTP itself ends such a body there, but for one in chunks (RFC 9112 section 6.3). A compressed one may hold more.
  const bounded = declared !== null && Number(declared) <= max && !headers.has("transfer-encoding") && !headers.has("content-encoding");
  if (bounded) return new Uint8Array(await message.arrayBuffer());

  const reader = body.getReader({ mode: "byob" });
  const chunks = [];
  let total = 0;
  for (let room = 16_384; ; room = Math.min(total, max - total) + 1) {
    const { done, value } = await reader.readAtLeast(room, new Uint8Array(room));
    if (value) chunks.push(value);
    total += value?.length ?? 0;
    if (total > max) {
      reader.cancel().catch(() => {});
      throw TOO_LARGE;
    }
    if (done || value.length < room) return join(chunks, total);
  }
}

/**
 * @param {Bytes[]} chunks
 * @param {number} total
 */
function join(chunks, total) {
  if (chunks[0]?.length === total) return chunks[0];
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
  for (let i = from; i + 1 < lines.length; i += 2) headers[lines[i] ?? ""] = lines[i + 1] ?? "";
  return headers;
}
