// Plain workerd has no rate limiting binding, and a Durable Object costs the Hono peer more than the rest of a request:
// these stand in for both, as wrapped bindings. The worker crate knows a binding by the name of its class.

class Ratelimit {
  async limit() {
    return { success: true };
  }
}

/** Grants each key once, whatever is before it. */
class DurableObjectNamespace {
  #claimed = new Set();
  #stub = {
    fetch: async (input) => {
      const { pathname } = new URL(typeof input === "string" ? input : input.url);
      const key = pathname.slice(pathname.indexOf("/", 1));
      const granted = !this.#claimed.has(key);
      // Bounded, or the memory of a worker would be that of its stand-in.
      if (this.#claimed.size >= 20_000) this.#claimed.clear();
      this.#claimed.add(key);
      return new Response(null, { status: granted ? 200 : 409 });
    },
  };

  idFromName(name) {
    return { name };
  }

  get() {
    return this.#stub;
  }

  getByName() {
    return this.#stub;
  }
}

export const limiter = () => new Ratelimit();
export const nonces = () => new DurableObjectNamespace();
