// A cluster in small for kubectl: an API server that stores what it is given, has three nodes, and ends Jobs at once.

import type { Manifest } from "./kubernetes.ts";

/** The resources that there are: group, version, plural, kind, and whether they live in a namespace. */
const RESOURCES = [
  ["", "v1", "namespaces", "Namespace", false],
  ["", "v1", "nodes", "Node", false],
  ["", "v1", "pods", "Pod", true],
  ["apps", "v1", "daemonsets", "DaemonSet", true],
  ["batch", "v1", "jobs", "Job", true],
  ["scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", false],
] as const;

const GROUPS = ["apps", "batch", "scheduling.k8s.io"];

type Resource = typeof RESOURCES[number];

/** The label by which a Job knows its pods. */
const JOB_NAME = "batch.kubernetes.io/job-name";

/** A manifest as the server stores it. */
type Stored = Omit<Manifest, "spec"> & { spec?: unknown; status?: unknown };

/** The server, with what it has stored by path. */
export class Cluster implements AsyncDisposable {
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #failing: string;
  readonly stored = new Map<string, Stored>();

  /** @param failing The node on which a Job fails. */
  constructor(failing: string) {
    this.#failing = failing;
    for (const name of ["node-1", "node-2", "node-3"]) {
      const labels = { "kubernetes.io/os": "linux" };
      this.stored.set(`/api/v1/nodes/${name}`, { apiVersion: "v1", kind: "Node", metadata: { name, labels } });
    }
    const onListen = () => {};
    this.#server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen }, (request) => this.#answer(request));
  }

  /** A kubeconfig that leads to it. */
  get config(): string {
    const cluster = { server: `http://127.0.0.1:${this.#server.addr.port}` };
    return JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      clusters: [{ name: "test", cluster }],
      users: [{ name: "test", user: {} }],
      contexts: [{ name: "test", context: { cluster: "test", user: "test" } }],
      "current-context": "test",
    });
  }

  async #answer(request: Request): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    const found = this.#discover(pathname);
    if (found !== null) return Response.json(found);
    const [, prefix, resource, name, log] = this.#resolve(pathname) ?? [];
    if (prefix === undefined || resource === undefined) return failure(404, `no ${pathname}`);
    if (log !== undefined) return new Response(`the log of ${name}\n`);
    if (request.method === "POST") return this.#create(prefix, resource, await request.json());
    const wanted = name ?? selectors(searchParams, "fieldSelector")["metadata.name"];
    const labels = Object.entries(selectors(searchParams, "labelSelector"));
    const items = [...this.stored].filter(([path]) => path.startsWith(`${prefix}/`)).map(([, object]) => object)
      .filter(({ metadata }) => wanted === undefined || metadata.name === wanted)
      .filter(({ metadata }) => labels.every(([label, value]) => metadata.labels?.[label] === value));
    if (name !== undefined) return items.length > 0 ? Response.json(items[0]) : failure(404, `no ${pathname}`);
    if (searchParams.has("watch")) return this.#watch(items);
    const [group, version, , kind] = resource;
    const apiVersion = group === "" ? version : `${group}/${version}`;
    return Response.json({ apiVersion, kind: `${kind}List`, metadata: { resourceVersion: "1" }, items });
  }

  /** What there is, by the path that asks for it. */
  #discover(path: string): unknown {
    if (path === "/api") return { kind: "APIVersions", versions: ["v1"] };
    if (path === "/apis") {
      const groups = GROUPS.map((name) => {
        const version = { groupVersion: `${name}/v1`, version: "v1" };
        return { name, versions: [version], preferredVersion: version };
      });
      return { kind: "APIGroupList", apiVersion: "v1", groups };
    }
    const group = path === "/api/v1" ? "" : /^\/apis\/([^/]+)\/v1$/.exec(path)?.[1];
    if (group !== undefined) {
      const resources = RESOURCES.filter(([of]) => of === group).map(([, , name, kind, namespaced]) => {
        return { name, kind, namespaced, singularName: kind.toLowerCase(), verbs: ["create", "get", "list", "watch"] };
      });
      return { kind: "APIResourceList", groupVersion: group === "" ? "v1" : `${group}/v1`, resources };
    }
    if (path === "/openapi/v3") {
      const documents = ["api/v1", ...GROUPS.map((name) => `apis/${name}/v1`)];
      return {
        paths: Object.fromEntries(documents.map((path) => [path, { serverRelativeURL: `/openapi/v3/${path}` }])),
      };
    }
    if (path.startsWith("/openapi/v3/")) return this.#describe(path.slice("/openapi/v3".length));
    return null;
  }

  /** The server examines fields itself, so that kubectl leaves it to the server. */
  #describe(base: string): unknown {
    const of = RESOURCES.filter(([group, version]) =>
      base === (group === "" ? "/api/v1" : `/apis/${group}/${version}`)
    );
    const paths = of.map(([group, version, plural, kind, namespaced]) => {
      const path = `${base}/${namespaced ? "namespaces/{namespace}/" : ""}${plural}/{name}`;
      const parameters = [{ name: "fieldValidation", in: "query" }];
      return [path, { patch: { parameters, "x-kubernetes-group-version-kind": { group, version, kind } } }];
    });
    return { openapi: "3.0.0", info: { title: "test", version: "1" }, paths: Object.fromEntries(paths) };
  }

  /** Takes a path apart: its collection, which resource that is, and the name behind. */
  #resolve(path: string): [string, string, Resource | undefined, string?, string?] | null {
    const found = /^(\/api(?:s\/([^/]+))?\/v1(?:\/namespaces\/[^/]+(?=\/))?\/([a-z]+))(?:\/([^/]+)(\/log)?)?$/.exec(
      path,
    );
    if (found === null) return null;
    const [whole, prefix = "", group = "", plural, name, log] = found;
    return [whole, prefix, RESOURCES.find(([of, , named]) => of === group && named === plural), name, log];
  }

  #create(prefix: string, [, , , kind, namespaced]: Resource, object: Manifest): Response {
    const namespace = /\/namespaces\/([^/]+)\//.exec(prefix)?.[1];
    if (namespaced && !this.stored.has(`/api/v1/namespaces/${namespace}`)) {
      return failure(404, `namespaces "${namespace}" not found`);
    }
    const { metadata } = object;
    metadata.name ??= `${metadata.generateName}${this.stored.size}`;
    const path = `${prefix}/${metadata.name}`;
    this.stored.set(path, object);
    if (kind === "Job") {
      object.spec.selector = { matchLabels: { [JOB_NAME]: metadata.name } };
      setTimeout(() => this.#endJob(path, object), 300);
    }
    return Response.json(object, { status: 201 });
  }

  /** Ends a Job as Kubernetes does from 1.31 on: first a condition that its end is certain, then that it has ended. */
  #endJob(path: string, job: Manifest): void {
    const fails = job.spec.template.spec.nodeName === this.#failing;
    const [first, second] = fails ? ["FailureTarget", "Failed"] : ["SuccessCriteriaMet", "Complete"];
    const name = `${job.metadata.name}-pod`;
    const labels = { [JOB_NAME]: job.metadata.name! };
    const status = { phase: fails ? "Failed" : "Succeeded" };
    const pod = { apiVersion: "v1", kind: "Pod", metadata: { name, namespace: "tcphup", labels }, status };
    this.stored.set(`/api/v1/namespaces/tcphup/pods/${name}`, { ...pod, spec: job.spec.template.spec });
    const conditions = [{ type: first, status: "True" }];
    this.stored.set(path, { ...job, status: { conditions } });
    setTimeout(() => {
      this.stored.set(path, { ...job, status: { conditions: [...conditions, { type: second, status: "True" }] } });
    }, 300);
  }

  /** Tells of objects again and again, as they are by then. */
  #watch(items: readonly Stored[]): Response {
    const paths = [...this.stored].filter(([, object]) => items.includes(object)).map(([path]) => path);
    let timer: ReturnType<typeof setInterval>;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        timer = setInterval(() => {
          for (const path of paths) {
            const event = { type: "MODIFIED", object: this.stored.get(path) };
            controller.enqueue(new TextEncoder().encode(`${JSON.stringify(event)}\n`));
          }
        }, 100);
      },
      cancel: () => clearInterval(timer),
    });
    return new Response(body, { headers: { "content-type": "application/json" } });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

/** The equations of a selector in a query, as in `a=b,c=d`. */
function selectors(query: URLSearchParams, name: string): Record<string, string> {
  const equations = (query.get(name) ?? "").split(",").filter((text) => text !== "");
  return Object.fromEntries(equations.map((equation) => equation.split("=")));
}

function failure(code: number, message: string): Response {
  const reason = "NotFound";
  return Response.json({ kind: "Status", apiVersion: "v1", status: "Failure", code, reason, message }, {
    status: code,
  });
}
