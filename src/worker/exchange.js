// @ts-check
// The JavaScript half of src/worker/mod.rs: every crossing between WASM and JavaScript is here. A crossing costs more
// than most checks of a request, so there are few: a request crosses in one piece with its headers, a call out of the
// isolate takes one crossing each way, the log line one and a response one.
//
// Nothing is decided here. Rust says what is asked for, how long it may take and what an outcome means.

// Outcomes of a step that failed. src/worker/mod.rs has the same numbers.
const LATE = -1;
const FAILED = -2;
const TOO_LARGE = -3;
const BUSY = -4;
const NO_HOST = -5;

/** @typedef {Uint8Array<ArrayBuffer>} Bytes */
/** @typedef {[outcome: number, bytes?: Bytes]} Outcome */
/** @typedef {{ waitUntil(promise: Promise<unknown>): void }} Context */

/**
 * What the WASM module exports, through its bindings.
 * @typedef {object} Module
 * @property {(env: unknown) => string} start returns the headers, a line each, empty for those that are not read
 * @property {(exchange: Exchange, head: string, now: number) => number} fetch returns the number of the task
 * @property {(exchange: Exchange, now: number) => number} scheduled the same
 * @property {(task: number, outcome: number, bytes: Bytes, now: number) => boolean} wake continues a task
 * @property {() => void} __wbg_reset_state replaces the instance of the module by a new one
 */

/** @type {Module} */
let module;
/** The checked airlock.toml, as JSON. */
let declared = "";

/** The names of the headers that the instance of the module reads; none before its first event. */
let fields = [""];
/** @type {(string | null)[]} */
let fieldsWithoutBody;

/** Bytes of request bodies that the requests of an isolate may hold together. */
const BODIES_MAX = 32 * 1024 * 1024;
/** Bytes held or reserved by the requests of this instance. There is another object for each instance. */
let bodies = { held: 0 };

/** Request bodies up to this size are read in one piece; larger ones in pieces that grow with what has arrived. */
const ONE_PIECE = 16 * 1024;

/** Imported keys by their JWK. A project has two or three; the bound is for key sets that change all the time. */
const imported = new Map();
const IMPORTED_MAX = 64;

const NOTHING = new Uint8Array(0);
const encoder = new TextEncoder();

/**
 * The entry points of the Worker.
 * @param {string} declaration
 * @param {Module} bindings
 */
export function entry(declaration, bindings) {
  declared = declaration;
  module = bindings;
  return {
    /** @type {(request: Request, env: Record<string, any>, context: Context) => Response | Promise<Response>} */
    fetch(request, env, context) {
      try {
        return guarded(() => {
          if (fields.length === 1) start(env);
          const exchange = new Exchange(request, env, context);
          exchange.task = module.fetch(exchange, head(request), Date.now());
          return exchange.response();
        });
      } catch (error) {
        return broken(request, error);
      }
    },
    /** @type {(event: any, env: Record<string, any>, context: Context) => Promise<void>} */
    async scheduled(event, env, context) {
      const { status } = await guarded(() => {
        const exchange = new Exchange(event, env, context);
        exchange.task = module.scheduled(exchange, Date.now());
        return exchange.response();
      });
      // The platform then records the event as failed.
      if (status !== 204) throw new Error("A scheduled job failed: see its log line.");
    },
  };
}

/** Whether the module runs. Still true at the next call if the platform ended the run, for its CPU time for example. */
let inside = false;

/**
 * Calls the module. After a trap, and after a run that the platform ended, the instance's memory cannot be trusted. It is
 * replaced at once: the bindings would replace it at their next call, after they have copied the arguments of that call
 * into the old instance. The tasks that wait in the old one are lost, so `broken` answers their requests.
 * @template T
 * @param {() => T} call
 */
function guarded(call) {
  if (inside) replaceInstance();
  inside = true;
  try {
    return call();
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) replaceInstance();
    reportError(error);
    throw error;
  } finally {
    // A run that the platform ends does not come here.
    inside = false;
  }
}

/**
 * The answer to an event whose task is lost, and its log line. Nothing of the module is needed for it.
 * @param {{ method?: string }} event
 * @param {any} error
 */
function broken({ method }, error) {
  const [id, status, code] = [crypto.randomUUID(), 500, "internal"];
  console.error(
    JSON.stringify({
      event: method ? "request" : "job",
      request_id: id,
      method,
      status,
      code,
      reason: `the module failed: ${error}`,
      stack: error.stack,
    }),
  );
  const detail = "Something is wrong on our side. It has been logged.";
  const problem = {
    type: `urn:airlock:problem:${code}`,
    title: "Internal error",
    status,
    code,
    detail,
    request_id: id,
    retryable: true,
  };
  const headers = {
    "content-type": "application/problem+json",
    "x-request-id": id,
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
  };
  return new Response(JSON.stringify(problem), { status, headers });
}

function replaceInstance() {
  fields = [""];
  // Requests of the old instance release what they hold from their own count.
  bodies = { held: 0 };
  module.__wbg_reset_state();
}

/** @param {unknown} env */
function start(env) {
  fields = module.start(env).split("\n");
  fieldsWithoutBody = fields.map((name) => (name.startsWith("content-") ? null : name));
}

/** Each instance of the module asks for it once. */
export function declaration() {
  return declared;
}

/**
 * @param {number} level
 * @param {string} line
 */
export function log(level, line) {
  if (level === 0) console.log(line);
  else if (level === 1) console.warn(line);
  else console.error(line);
}

/**
 * Method, URL, `=` if there may be a body, and the headers that Rust reads, a line each: `=` and the value, or an empty
 * line if the header is absent or not read. Headers about a body are read only if there may be one.
 * @param {Request} request
 */
function head({ method, url, headers, body }) {
  const read = method === "GET" && body === null ? fieldsWithoutBody : fields;
  const lines = [method, url, body === null ? "" : "="];
  for (const field of read) {
    const value = field ? headers.get(field) : null;
    lines.push(value === null ? "" : `=${value}`);
  }
  // Joined: a string that is concatenated piece by piece is slow to read.
  return lines.join("\n");
}

/** One event of the platform: a request and its response, or a run of the scheduled jobs. */
export class Exchange {
  /**
   * @param {Request} request or another event, of which nothing is read
   * @param {Record<string, any>} env
   * @param {Context} context
   */
  constructor(request, env, context) {
    this.request = request;
    this.env = env;
    this.context = context;
    /**
     * Ends the promise that keeps the event alive, if there is one.
     * @type {(() => void) | undefined}
     */
    this.ended = undefined;
    this.task = 0;
    this.step = 0;
    this.due = Infinity;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.alarm = undefined;
    this.alarmAt = 0;
    this.bodies = bodies;
    this.held = 0;
    this.released = false;
    /**
     * The body of an upstream response that is to be streamed; undefined if none is open.
     * @type {ReadableStream | null | undefined}
     */
    this.unread = undefined;
    /**
     * The end of the event.
     * @type {Response | undefined}
     */
    this.answer = undefined;
    /** @type {((response: Response) => void) | undefined} */
    this.resolve = undefined;
  }

  /**
   * The response, which is here already if no step had to be waited for.
   * @returns {Response | Promise<Response>}
   */
  response() {
    return this.answer ?? new Promise((resolve) => (this.resolve = resolve));
  }

  /** @param {Response} answer */
  end(answer) {
    if (this.resolve) this.resolve(answer);
    else this.answer ??= answer;
  }

  /**
   * Keeps the event alive until `finish`, even if its client has disconnected or has its response. Otherwise workerd
   * would drop its promises.
   */
  outlive() {
    if (!this.ended) this.context.waitUntil(new Promise((resolve) => (this.ended = () => resolve(undefined))));
  }

  /** Called when the task has ended or was dropped. A timer that is still set ends with the event. */
  finish() {
    this.release();
    this.ended?.();
  }

  /**
   * Reads the request's body.
   * @param {number} max
   * @param {number} millis
   */
  body(max, millis) {
    this.await(
      () => drain(this.request, max, (bytes) => this.reserve(bytes)),
      (bytes) => [0, bytes],
      millis,
    );
  }

  /**
   * Called before memory for a request body is allocated. Throws BUSY if the isolate holds too much.
   * @param {number} bytes
   */
  reserve(bytes) {
    // A read that goes on after its request was answered must not reserve anything.
    if (this.released || this.bodies.held + bytes > BODIES_MAX) throw BUSY;
    this.bodies.held += bytes;
    this.held += bytes;
  }

  /** The request's body is not needed any more. */
  release() {
    this.bodies.held -= this.held;
    this.held = 0;
    this.released = true;
  }

  /**
   * Outcome 1 if one more request of the user is within the limit, 0 if it is not.
   * @param {string} key
   * @param {number} millis
   */
  limitUser(key, millis) {
    this.await(() => this.env.LIMIT_USER.limit({ key }), outcomeOfLimit, millis);
  }

  /**
   * The same for one more refusal of an address. The response is on its way; without `waitUntil` the event would end with
   * it. workerd ends what takes too long.
   * @param {string} key
   */
  limitAddress(key) {
    this.context.waitUntil(this.await(() => this.env.LIMIT_IP.limit({ key }), outcomeOfLimit));
  }

  /**
   * Outcome 1 if the key made the signature, 0 if it did not.
   * @param {string} jwk
   * @param {Bytes} message
   * @param {Bytes} signature
   */
  verify(jwk, message, signature) {
    this.await(
      () => verify(jwk, message.slice(), signature.slice()),
      (good) => [good ? 1 : 0],
    );
  }

  /**
   * Reads a static asset. The outcome is the status of the response, and its body.
   * @param {string} path
   * @param {number} millis
   */
  asset(path, millis) {
    const begin = async () => {
      // The binding looks at the path alone.
      const response = await this.env.ASSETS.fetch(`https://assets${path}`);
      return { status: response.status, bytes: new Uint8Array(await response.arrayBuffer()) };
    };
    /** @type {(asset: { status: number, bytes: Bytes }) => Outcome} */
    const outcomeOf = ({ status, bytes }) => [status, bytes];
    this.await(begin, outcomeOf, millis);
  }

  /**
   * Sends a request. The outcome is the status of the response, and its body. With `stream` the body of a 200 is left
   * unread for `respond`; in its place are Content-Type and Content-Length, a line each, empty if absent.
   * @param {string} head method, URL, then names and values of headers in alternation, a line each
   * @param {string | undefined} body
   * @param {boolean} stream
   * @param {number} max
   * @param {number} millis
   */
  send(head, body, stream, max, millis) {
    const lines = head.split("\n");
    const [method, url = ""] = lines;
    this.closeUpstream();
    const begin = async () => {
      // Following a redirect would carry the user's token to another place.
      const response = await fetch(url, { method, headers: record(lines, 2), body, redirect: "manual" });
      const { status, headers } = response;
      if (!stream || status !== 200) return { status, bytes: await drain(response, max) };
      const [type, length] = [headers.get("content-type") ?? "", headers.get("content-length") ?? ""];
      return { status, bytes: encoder.encode(`${type}\n${length}`), unread: response.body };
    };
    /** @type {(value: { status: number, bytes: Bytes, unread?: ReadableStream | null }) => Outcome} */
    const outcomeOf = ({ status, bytes, unread }) => {
      this.unread = unread;
      return [status, bytes];
    };
    this.await(begin, outcomeOf, millis);
  }

  /** Cancels an upstream response that is open and not passed on. */
  closeUpstream() {
    this.unread?.cancel().catch(() => {});
    this.unread = undefined;
  }

  /** @param {number} millis */
  sleep(millis) {
    this.await(
      () => new Promise((resolve) => setTimeout(resolve, millis)),
      () => [0],
    );
  }

  /**
   * @param {number} status
   * @param {string} head
   * @param {Bytes | undefined} body absent: the body of the upstream response that is open
   */
  respond(status, head, body) {
    this.release();
    const init = { status, headers: record(head.split("\n"), 0) };
    if (body) {
      this.closeUpstream();
      // A copy, because the memory of WASM is reused at once.
      this.end(new Response(body.length > 0 ? body.slice() : null, init));
    } else if (this.unread === undefined) {
      this.end(broken(this.request, "no upstream response is open"));
    } else {
      this.end(new Response(this.unread, init));
      this.unread = undefined;
    }
  }

  /**
   * Begins a step and wakes the task with its outcome, or with LATE after `millis`. A task waits for one step at a
   * time; late results are dropped.
   * @template T
   * @param {() => Promise<T>} begin
   * @param {(value: T) => Outcome} outcomeOf
   * @param {number} [millis]
   */
  await(begin, outcomeOf, millis) {
    const step = ++this.step;
    const failed = (/** @type {unknown} */ error) =>
      // workerd calls a host without an address an internal error; Cloudflare answers 530.
      this.wake(step, typeof error === "number" ? error : /internal error/.test(String(error)) ? NO_HOST : FAILED);
    if (millis !== undefined) {
      this.due = Date.now() + millis;
      this.setAlarm();
    }
    try {
      return begin().then((value) => {
        if (step !== this.step) return;
        /** @type {Outcome} */
        let outcome = [FAILED];
        try {
          outcome = outcomeOf(value);
        } catch {
          // The platform answered with something else than it documents.
        }
        this.wake(step, ...outcome);
      }, failed);
    } catch (error) {
      return Promise.reject(error).catch(failed);
    }
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
      // Tasks of an earlier instance of the module were lost with it.
      const awake = this.bodies === bodies && guarded(() => module.wake(this.task, outcome, bytes, Date.now()));
      if (!awake) throw new Error("the task was dropped");
    } catch (error) {
      this.end(broken(this.request, error));
      this.finish();
    }
  }

  /** One timer for all steps of a request: most of them end long before it would be needed. */
  setAlarm() {
    if (this.alarm !== undefined && this.alarmAt <= this.due) return;
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

/** @type {(result: { success: boolean }) => Outcome} */
const outcomeOfLimit = ({ success }) => [success ? 1 : 0];

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
      material.kty === "EC"
        ? { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" }
        : { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
    key = { algorithm, key: await crypto.subtle.importKey("jwk", material, algorithm, false, ["verify"]) };
    if (imported.size >= IMPORTED_MAX) imported.clear();
    imported.set(jwk, key);
  }
  return crypto.subtle.verify(key.algorithm, key.key, signature, message);
}

/**
 * Reads the whole body, or throws TOO_LARGE.
 * @param {Request | Response} message
 * @param {number} max
 * @param {(bytes: number) => void} [reserve] called before memory is allocated; may throw
 */
async function drain(message, max, reserve) {
  const { body, headers } = message;
  if (body === null) return NOTHING;
  const length = Number(headers.get("content-length") ?? Infinity);
  // HTTP ends such a body at its declared length, unless it comes in chunks (RFC 9112 section 6.3). A compressed one
  // may be longer.
  const bounded = length <= max && !headers.has("transfer-encoding") && !headers.has("content-encoding");
  // workerd allocates the declared length at once. For a large request body that is memory for bytes that may never
  // arrive.
  if (bounded && (!reserve || length <= ONE_PIECE)) {
    reserve?.(length);
    return new Uint8Array(await message.arrayBuffer());
  }

  const reader = body.getReader({ mode: "byob" });
  const limit = bounded ? length : max;
  const chunks = [];
  let total = 0;
  try {
    for (let size = ONE_PIECE; ; size = Math.min(total, limit - total) + 1) {
      reserve?.(size);
      const { done, value } = await reader.readAtLeast(size, new Uint8Array(size));
      if (value) chunks.push(value);
      total += value?.length ?? 0;
      if (total > max) throw TOO_LARGE;
      if (done || value.length < size) return join(chunks, total);
    }
  } catch (error) {
    reader.cancel().catch(() => {});
    throw error;
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
 * Headers from lines that are names and values in alternation.
 * @param {string[]} lines
 * @param {number} from
 */
function record(lines, from) {
  /** @type {Record<string, string>} */
  const headers = {};
  for (let i = from; i + 1 < lines.length; i += 2) headers[lines[i] ?? ""] = lines[i + 1] ?? "";
  return headers;
}
