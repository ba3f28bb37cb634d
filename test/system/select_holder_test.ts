// Selecting by who holds a connection: process, name, program, control group, container.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { Cgroup } from "../harness/cgroup.ts";
import { Namespace } from "../harness/namespace.ts";
import { Dialogue } from "../harness/lines.ts";
import { PYTHON } from "../harness/needs.ts";
import { Peer, pythonProgram } from "../harness/peer.ts";
import { eventually, run } from "../harness/process.ts";
import { assertOneLine, assertUsageError, makePool, Scene } from "../harness/scene.ts";
import { assertSelects, selected } from "../harness/selected.ts";
import { haproxy, nginx, redis } from "../harness/servers.ts";
import { systemTest } from "../harness/system.ts";
import { Run, TCPHUP, tcphup } from "../harness/tcphup.ts";

/** No process has this number: it is beyond PID_MAX_LIMIT. */
const NO_PROCESS = "4194305";

systemTest("--pid: the connections of a process, and no others", [], async (netns) => {
  const scene = await Scene.make(netns);
  const { client, doomed, kept } = scene;
  const other = Peer.start(netns);
  const others = await other.connect("127.0.0.2", 8000, { count: 2 });
  await assertSelects(netns, ["--pid", `${client.pid}`], [...doomed.ports, ...kept.ports]);
  await assertSelects(netns, ["--pid", `${client.pid}`, "--dport", "8000"], doomed.ports);
  await assertSelects(netns, ["--pid", `${other.pid}`, `--pid=${client.pid}`, "127.0.0.2", "8000"], [
    ...doomed.ports,
    ...others.ports,
  ]);
  await assertSelects(netns, ["127.0.0.2", "8000", "--not", "--pid", `${client.pid}`], others.ports);
  const run = await tcphup(["--pid", `${other.pid}`, "--json"], { netns, code: 0 });
  assertEquals(run.json().connections.map(({ owners }) => owners.map(({ pid }) => pid)), [[other.pid], [other.pid]]);
  await others.assertEnded("EOF");
  await scene.assertUntouched();
});

systemTest("--pid: one holder of several is enough to select, and enough to leave out", [], async (netns) => {
  const { client, doomed, kept } = await Scene.make(netns);
  const child = await client.fork();
  for (const pid of [client.pid, child]) {
    await assertSelects(netns, ["--pid", `${pid}`, "--dport", "8000"], doomed.ports);
    await assertSelects(netns, ["--dst", "127.0.0.2", "--not", "--pid", `${pid}`], []);
  }
  const connection = (await selected(netns, ["--pid", `${child}`, "--dport", "8000"]))[0]!;
  assertEquals(connection.owners.map(({ pid }) => pid).sort(), [client.pid, child].sort());
  await kept.close();
  await assertSelects(netns, ["--pid", `${client.pid}`], doomed.ports);
  await assertSelects(netns, ["--pid", `${client.pid}`, "--children"], [...doomed.ports, ...kept.ports]);
  await tcphup(["--pid", `${client.pid}`, "--json"], { netns, code: 0 });
  await doomed.assertEnded("EOF");
  await assertSelects(netns, ["--pid", `${child}`, "--state", "established"], kept.ports);
});

systemTest("--children reaches the descendants of descendants", [], async (netns) => {
  const { server } = await Scene.make(netns);
  const shell = netns.spawn([
    "sh",
    "-c",
    'sh -c "$@; true"; true',
    "sh",
    `${PYTHON} -c '
import socket, time
s = socket.create_connection(("127.0.0.2", 8000))
time.sleep(1000)'`,
  ]);
  await server.serving(7);
  const { src } = await eventually("the descendant is connected", async () => {
    const [found] = await selected(netns, ["--pid", `${shell.pid}`, "--children"]);
    return found ?? false;
  });
  await assertSelects(netns, ["--pid", `${shell.pid}`], []);
  await assertSelects(netns, ["127.0.0.2", "--not", "--pid", `${shell.pid}`, "--children", "--src-gone"], []);
  const left = await selected(netns, ["127.0.0.2", "--not", "--pid", `${shell.pid}`, "--children"]);
  assert(left.length === 6 && left.every(({ src: { port } }) => port !== src.port), "what descends is left out");
});

systemTest(
  "--pid: a thread that has its descriptors to itself is a part of its process",
  ["Linux 6.9"],
  async (netns) => {
    const { client } = await Scene.make(netns);
    const alone = await client.connectInThread("127.0.0.3", 8000);
    await assertSelects(netns, ["--pid", `${client.pid}`, "--dst", "127.0.0.3"], alone.ports);
  },
);

systemTest("--comm: names and patterns", [], async (netns) => {
  const { client, doomed, kept } = await Scene.make(netns);
  await client.setName("worker [1]/x:0");
  const ports = [...doomed.ports, ...kept.ports];
  await assertSelects(netns, ["--comm", "worker [[]1]/x:0"], ports);
  await assertSelects(netns, ["--comm", "work*"], ports);
  await assertSelects(netns, ["--comm", "*/x:?"], ports);
  await assertSelects(netns, ["--comm", "no-such-name", "--comm", "[a-w]orker*"], ports);
  await assertSelects(netns, ["--comm", "worker"], []);
  await assertSelects(netns, ["--comm", "[!w]orker*", "--dst", "127.0.0.2"], []);
  await assertSelects(netns, ["--dst", "127.0.0.2", "--not", "--comm", "worker*"], []);
  await client.setName("a-name-that-is-too-long");
  await assertSelects(netns, ["--comm", "a-name-that-is-too-long"], ports);
});

systemTest("--exe: the program's path, or its last part", [], async (netns) => {
  const { doomed, client } = await Scene.make(netns);
  const exe = await Deno.readLink(`/proc/${client.pid}/exe`);
  const base = exe.slice(exe.lastIndexOf("/") + 1);
  for (const pattern of [exe, base, "python*", "/usr/**", exe.replace(/[^/]+$/, "*")]) {
    await assertSelects(netns, ["--exe", pattern, "--dport", "8000"], doomed.ports);
  }
  for (const pattern of ["/usr/*", "ython*", `${base}x`]) {
    await assertSelects(netns, ["--exe", pattern, "--dport", "8000"], []);
  }
});

systemTest("all that is said of a holder must hold for one and the same", [], async (netns) => {
  const { client, doomed } = await Scene.make(netns);
  const child = await client.fork();
  await client.setName("parent");
  await assertSelects(netns, ["--comm", "parent", "--pid", `${client.pid}`, "--dport", "8000"], doomed.ports);
  await assertSelects(netns, ["--comm", "parent", "--pid", `${child}`, "--dport", "8000"], []);
});

systemTest("--cgroup: a group, what lies below it, and names at any depth", ["cgroup v2"], async (netns) => {
  const { client, server, doomed, kept } = await Scene.make(netns);
  const name = Cgroup.uniqueName();
  await using slice = await Cgroup.create(`${name}.slice`);
  await using unit = await Cgroup.create("web.service", slice);
  await using other = await Cgroup.create("db.service", slice);
  await unit.add(client.pid);
  await other.add(server.pid);
  const ports = [...doomed.ports, ...kept.ports];
  const below = [...ports, ...doomed.ports.map(() => 8000), ...kept.ports.map(() => 9000)];
  for (const group of [unit.path, `${unit.path}/`, unit.directory, `${name}.slice/web.service`, `${name}.slice/w*`]) {
    await assertSelects(netns, ["--cgroup", group], ports);
  }
  for (const group of [slice.path, slice.directory, `${name}.slice`, `/${name}*`, `${name}.slice/*.service`]) {
    await assertSelects(netns, ["--cgroup", group], below);
  }
  await assertSelects(netns, ["--cgroup", unit.path, "--cgroup", other.path], below);
  await assertSelects(netns, ["--cgroup", slice.path, "--not", "--cgroup", other.path], ports);
  await assertSelects(netns, ["--cgroup", `/${name}`.slice(0, -1) + "*.no-such"], []);
  await tcphup(["--cgroup", unit.path, "--dport", "8000", "--json"], { netns, code: 0 });
  await doomed.assertEnded("EOF");
  await kept.assertAlive();
});

systemTest("--cgroup: an empty one is there, one that is not there is refused", ["cgroup v2"], async (netns) => {
  const { kept } = await Scene.make(netns);
  const name = Cgroup.uniqueName();
  await using empty = await Cgroup.create(`${name}.service`);
  // `ip netns exec` would hide where cgroups are mounted.
  const inside = ["nsenter", `--net=/run/netns/${netns.name}`, ...TCPHUP];
  for (const group of [empty.path, empty.directory, `${name}.service`]) {
    assertEquals((await run([...inside, "ls", "--cgroup", group, "--json"])).code, 0);
  }
  for (const group of [`/${name}`, `${name}.slice`, `${empty.path}/below`, `${empty.directory}/below`]) {
    assertUsageError(await tcphup(["--cgroup", group], { netns }), new RegExp(group));
    const run = await tcphup(["--cgroup", group, "--missing-ok", "--json"], { netns });
    assertEquals([run.code, run.json().matched], [0, 0]);
  }
  await kept.assertAlive();
});

systemTest("--container: as runtimes name their cgroups, by the start of the id", ["cgroup v2"], async (netns) => {
  const { client, server, doomed, kept } = await Scene.make(netns);
  const id = Cgroup.uniqueContainerId();
  const [start, digit] = [id.slice(0, 12), Number.parseInt(id[12]!, 16)];
  const similar = start + ((digit + 1) % 16).toString(16) + id.slice(13);
  await using slice = await Cgroup.create(`${Cgroup.uniqueName()}.slice`);
  await using docker = await Cgroup.create(`docker-${id}.scope`, slice);
  await using init = await Cgroup.create("init", docker);
  await using plain = await Cgroup.create(similar, slice);
  const unique = Cgroup.uniqueName();
  await init.add(client.pid);
  const ports = [...doomed.ports, ...kept.ports];
  for (const text of [id, start, id.slice(0, 30), `containerd://${id}`]) {
    await assertSelects(netns, ["--container", text], ports);
  }
  await assertSelects(netns, ["--cgroup", start], ports);
  await plain.add(server.pid);
  const several = await tcphup(["--container", start], { netns });
  assertUsageError(several, /Several/);
  // The message says what would tell them apart.
  for (const one of [id, similar]) assertMatch(several.stderr, new RegExp(`\\b${one.slice(0, 13)}\\b`));
  await assertSelects(netns, ["--container", id.slice(0, 13)], ports);
  await assertSelects(netns, ["--container", similar, "--dst", "127.0.0.1", "--sport", "8000"], [8000, 8000, 8000]);
  const absent = Cgroup.uniqueContainerId().slice(0, 10);
  assertUsageError(await tcphup(["--container", absent], { netns }), new RegExp(`No container "${absent}"`));
  assertUsageError(await tcphup(["--container", unique], { netns }), /not a name/);
  assertUsageError(await tcphup(["--container", crypto.randomUUID()], { netns }), /a pod's UID selects as a cgroup/);
});

systemTest("--cgroup: a Kubernetes pod by its UID, with either cgroup driver", ["cgroup v2"], async (netns) => {
  const { client, server, doomed, kept } = await Scene.make(netns);
  const [name, pod] = [Cgroup.uniqueName(), crypto.randomUUID()];
  await using systemd = await Cgroup.create(`${name}-pod${pod.replaceAll("-", "_")}.slice`);
  await using container = await Cgroup.create(`cri-containerd-${Cgroup.uniqueContainerId()}.scope`, systemd);
  await using cgroupfs = await Cgroup.create(`pod${pod}`);
  await container.add(client.pid);
  await assertSelects(netns, ["--cgroup", pod], [...doomed.ports, ...kept.ports]);
  await cgroupfs.add(server.pid);
  assertEquals((await selected(netns, ["--cgroup", pod.toUpperCase()])).length, 12);
});

systemTest("a process in another pid namespace holds them", [], async (netns) => {
  const { server } = await Scene.make(netns);
  const peer = ["unshare", "--pid", "--fork", "--mount-proc", ...pythonProgram("peer.py")];
  await using inside = new Dialogue(netns.spawn(peer), "peer.py");
  await inside.request("connect", { address: "127.0.0.4", port: 8000 });
  await server.serving(7);
  const connection = (await selected(netns, ["--pid", `${inside.pid}`, "--children"]))[0]!;
  assertEquals(connection.dst.address, "127.0.0.4");
  // In there it is process 1; here it goes by the number that it has here.
  assert(connection.owners[0]!.pid > inside.pid, `${connection.owners[0]!.pid}`);
  const run = await tcphup(["--pid", `${connection.owners[0]!.pid}`, "--json"], { netns, code: 0 });
  assertEquals(run.outcomes(), ["hung-up"]);
  await inside.end();
});

systemTest("a process that lives in another network namespace holds them", [], async (netns) => {
  const scene = await Scene.make(netns);
  await scene.client.leaveNetns();
  const selection = ["--pid", `${scene.client.pid}`, "--dport", "8000"];
  await assertSelects(netns, selection, scene.doomed.ports);
  // From elsewhere, too: the walk over processes does not care where they live.
  await using elsewhere = await Namespace.create();
  await assertSelects(elsewhere, ["--netns", netns.name, ...selection], scene.doomed.ports);
  await tcphup(selection, { netns, code: 0 });
  await scene.assertHungUp();
});

systemTest(
  "nginx by its name and all of its workers, Redis by its program",
  ["nginx", "redis-server"],
  async (netns) => {
    await using _web = await nginx(netns, "127.0.0.3:80", "server { listen 127.0.0.3:80; keepalive_timeout 1h; }");
    await using _db = await redis(netns, "127.0.0.5");
    const client = Peer.start(netns);
    const web = await client.connect("127.0.0.3", 80, { count: 4 });
    const db = await client.connect("127.0.0.5", 6379, { count: 2 });
    await eventually("both servers have accepted", async () => {
      return (await selected(netns, ["--comm", "nginx", "--comm", "redis-server"])).length === 6;
    });
    const served = await selected(netns, ["--comm", "nginx"]);
    assertEquals(served.map(({ src, owners }) => [src.port, owners[0]!.comm]), web.ports.map(() => [80, "nginx"]));
    const run = await tcphup(["--exe", "**/redis-*", "--json"], { netns, code: 0 });
    assertEquals(run.json().hung_up, 2);
    await db.assertEnded("EOF");
    await web.assertUnended();
  },
);

const PROXY = `
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen proxy
  bind 127.0.0.6:8080
  server peer 127.0.0.2:8000
`;

systemTest("a proxy's connections to its servers, and not those of its clients", ["haproxy"], async (netns) => {
  const scene = await Scene.make(netns);
  await using _proxy = await haproxy(netns, "127.0.0.6:8080", PROXY);
  const client = Peer.start(netns);
  const through = await client.connect("127.0.0.6", 8080, { count: 2 });
  await through.assertAlive();
  const upstream = ["--comm", "haproxy", "--dst", "127.0.0.2", "--dport", "8000"];
  const connections = await selected(netns, upstream);
  assertEquals(connections.map(({ owners }) => owners[0]!.comm), ["haproxy", "haproxy"]);
  const run = await tcphup([...upstream, "--json"], { netns, code: 0 });
  assertEquals(run.outcomes(), ["hung-up", "hung-up"]);
  // It hangs up on its clients for them.
  await through.assertEnded("EOF");
  await scene.assertUntouched();
});

systemTest("a holder that is not there: said by name, exit 2", [], async (netns) => {
  const scene = await Scene.make(netns);
  assertUsageError(await tcphup(["--pid", NO_PROCESS], { netns }), new RegExp(`No process ${NO_PROCESS}`));
  assertUsageError(await tcphup(["any", "--not", "--pid", NO_PROCESS], { netns }), new RegExp(NO_PROCESS));
  const threads = [...Deno.readDirSync(`/proc/${Deno.pid}/task`)].map(({ name }) => Number(name));
  const thread = threads.find((tid) => tid !== Deno.pid)!;
  assertUsageError(
    await tcphup(["--pid", `${thread}`], { netns }),
    new RegExp(`${thread} is a thread of .*${Deno.pid}`),
  );
  // A name may be someone's at the next moment, so nothing is wrong with it.
  const run = await tcphup(["--comm", "no-such-program", "--json"], { netns, code: 0 });
  assertEquals(run.json().matched, 0);
  await scene.assertUntouched();
});

systemTest("a holder that may not be looked into: said by name, exit 1", ["setpriv"], async (netns) => {
  const scene = await Scene.make(netns);
  const { pid } = scene.client;
  const name = `secret-${pid}`;
  await scene.client.setName(name);
  const options = { netns, without: ["sys_ptrace"] };
  await scene.client.setDumpable(false);
  for (const selection of [["--pid", `${pid}`], ["--comm", name]]) {
    const run = await tcphup([...selection, "--json"], { ...options, code: 1 });
    assertOneLine(run, new RegExp(`process ${pid} \\(${name}\\).*CAP_SYS_PTRACE`));
    assertEquals(run.json().matched, 0);
  }
  await scene.assertUntouched();
});

systemTest("of many holders that may not be looked into only the first are named", ["setpriv"], async (netns) => {
  const peers = Array.from({ length: 7 }, () => Peer.start(netns));
  const name = `secret-${peers[0]!.pid}`;
  for (const peer of peers) {
    await peer.setName(name);
    await peer.setDumpable(false);
  }
  const run = await tcphup(["--comm", name, "--json"], { netns, without: ["sys_ptrace"], code: 1 });
  const named = run.stderr.match(/^tcphup: process \d+ .* may not be looked into: needs CAP_SYS_PTRACE$/gm) ?? [];
  assertEquals(named.length, 5);
  assertMatch(run.stderr, /^tcphup: 2 more processes may not be looked into: needs CAP_SYS_PTRACE$/m);
});

systemTest(
  "a program that may not be known matters where nobody else holds what matches",
  ["setpriv"],
  async (netns) => {
    const scene = await Scene.make(netns);
    const options = { netns, without: ["sys_ptrace"] };
    const inDoubt = [["--exe", "python*", "--dport", "8000"], ["--dport", "8000", "--not", "--exe", "java"]];
    for (const selection of inDoubt) {
      const run = await tcphup([...selection, "--json"], { ...options, code: 1 });
      // A process of another test that is secretive is named, rightly.
      const others =
        /^tcphup: (?:process (\d+) \(.*\)|\d+ more processes) may not be looked into: needs CAP_SYS_PTRACE\n/gm;
      for (const [, pid] of run.stderr.matchAll(others)) assert(Number(pid) !== scene.client.pid);
      const ours = new Run({ ...run, stderr: run.stderr.replaceAll(others, "") });
      assertOneLine(ours, /^tcphup: which program runs in \d+ processes may not be known: needs CAP_SYS_PTRACE$/m);
      assertEquals(run.json().matched, 0);
    }
    const nothing = await tcphup(["--exe", "python*", "--dport", "9", "--json"], { ...options, code: 0 });
    assertEquals(nothing.stderr, "");
    await scene.assertUntouched();
  },
);

systemTest("what is not accepted yet nobody holds, so no holder selects it", [], async (netns) => {
  const { server } = await makePool(netns, { accept: false });
  assertEquals((await selected(netns, ["--sport", "8000"])).length, 1);
  assertEquals(await selected(netns, ["--sport", "8000", "--pid", `${server.pid}`]), []);
  assertEquals(await selected(netns, ["--sport", "8000", "--not", "--comm", "no-such-program"]), []);
});
