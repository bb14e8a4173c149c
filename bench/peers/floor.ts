// The floor: a worker that only passes requests on, without checks, limits and logs.

interface Env {
  SUPABASE_URL: string;
  SUPABASE_PUBLISHABLE_KEY: string;
}

const COLUMNS = "select=id,title,body,version,created_at,updated_at,deleted_at";

export default {
  fetch(request: Request, env: Env): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    const rest = `${env.SUPABASE_URL}/rest/v1/notes?${COLUMNS}`;
    const headers = { apikey: env.SUPABASE_PUBLISHABLE_KEY, authorization: request.headers.get("authorization") ?? "" };
    if (request.method === "POST") {
      return fetch(rest, {
        method: "POST",
        headers: { ...headers, "content-type": "application/json", prefer: "return=representation" },
        body: request.body,
      });
    }
    const id = pathname.slice("/v1/notes/".length);
    if (id) return fetch(`${rest}&id=eq.${id}&deleted_at=is.null`, { headers });
    const rows = Number(searchParams.get("limit") ?? 20) + 1;
    return fetch(`${rest}&deleted_at=is.null&order=created_at.desc,id.desc&limit=${rows}`, { headers });
  },
};
