// What Airlock cannot go below: the I/O of its lists and creates in plain JavaScript, without a check. It reads the same
// headers, asks the limiter, has a deadline, calls the same functions, and writes the same headers and the same log line.

interface Env {
  SUPABASE_URL: string;
  SUPABASE_PUBLISHABLE_KEY: string;
  LIMIT_USER: RateLimit;
}

const READ = [
  "x-app-id",
  "x-app-timestamp",
  "x-app-nonce",
  "x-app-signature",
  "authorization",
  "idempotency-key",
  "if-match",
  "if-none-match",
  "cf-connecting-ip",
  "x-client-info",
];
const READ_WITH_BODY = [...READ, "content-type", "content-encoding", "content-length"];
const USER = "5f0c6d2e-52f0-4c9e-9d5b-0c5a2f8f5b11";
const LIST = { resource: "notes", org: null, page_size: 20, after: null, state: "active", search: null };

export default {
  async fetch(request: Request, env: Env, context: { waitUntil(promise: Promise<unknown>): void }): Promise<Response> {
    const { method, url, headers, body } = request;
    const write = method === "POST";
    const read = (write ? READ_WITH_BODY : READ).map((name) => headers.get(name));
    const requestId = crypto.randomUUID();
    let ended = () => {};
    if (write) context.waitUntil(new Promise<void>((resolve) => (ended = resolve)));
    const sent = body && (await request.text());
    setTimeout(() => {}, 10_000);
    await env.LIMIT_USER.limit({ key: USER });
    const began = Date.now();
    const upstream = await fetch(`${env.SUPABASE_URL}/rest/v1/rpc/${write ? "airlock_create" : "airlock_list"}`, {
      method: "POST",
      headers: {
        apikey: env.SUPABASE_PUBLISHABLE_KEY,
        "content-type": "application/json",
        authorization: read[4] ?? "",
        ...(write && { "x-airlock-claim": `v1.660.${crypto.randomUUID()}.${read[0]}:${read[2]}` }),
      },
      body: write ? `{"resource":"notes","org":null,"draft":${sent}}` : JSON.stringify(LIST),
      redirect: "manual",
    });
    const common = {
      "content-type": "application/json",
      "x-request-id": requestId,
      "x-content-type-options": "nosniff",
      "cache-control": "no-store",
    };
    const response = write ? created(await upstream.text(), common) : listed(upstream, common);
    console.log(
      JSON.stringify({
        event: "request",
        request_id: requestId,
        method,
        route: url.slice(url.indexOf("/", 8)),
        status: response.status,
        code: null,
        guard: "verified",
        guard_key: "bench",
        app_id: read[0],
        user_id: USER,
        duration_ms: Date.now() - began,
        upstream_ms: Date.now() - began,
      }),
    );
    ended();
    return response;
  },
};

function listed(upstream: Response, common: Record<string, string>): Response {
  const [type, length] = ["content-type", "content-length"].map((name) => upstream.headers.get(name));
  if (!type || !length) throw new Error("an answer without its headers");
  return new Response(upstream.body, { status: 200, headers: common });
}

function created(answer: string, common: Record<string, string>): Response {
  const row = answer.slice(answer.indexOf('"row" : ') + 8, -1);
  const { id, version } = JSON.parse(row) as { id: string; version: number };
  return new Response(row, { status: 201, headers: { ...common, etag: `"${version}"`, location: `/v1/notes/${id}` } });
}
