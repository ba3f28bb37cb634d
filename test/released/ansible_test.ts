// scripts/ansible with the real ansible-playbook, and network namespaces for hosts.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { assertPlay, Inventory, resultsOf } from "../harness/ansible.ts";
import { Namespace } from "../harness/namespace.ts";
import { Peer } from "../harness/peer.ts";
import { DOOMED_PORT, Scene } from "../harness/scene.ts";
import { systemTest } from "../harness/system.ts";
import { FOLLOW_UNIT } from "../harness/unit.ts";

const VIP = ["-e", "vip=127.0.0.2", "-e", `vip_port=${DOOMED_PORT}`];
const OTHER_USER = 12346;

/** The module's name, and the role's. */
const NAME = "tcphup.tcphup.tcphup";

/** A play of one task, with the module's options. */
function task(options: Record<string, unknown>): Record<string, unknown> {
  const tasks = [{ name: "The task", [NAME]: { executable: "{{ tcphup_executable }}", ...options } }];
  return { hosts: "all", gather_facts: false, roles: [NAME], tasks };
}

systemTest("Ansible: a failover, host by host, each waiting for its clients", ["ansible-playbook"], async (one) => {
  await using two = await Namespace.create();
  const scenes = [await Scene.make(one, { reconnect: true }), await Scene.make(two, { reconnect: true })];
  using inventory = await Inventory.make({ one: { netns: one }, two: { netns: two } });

  const play = await inventory.play("failover", ...VIP, "-e", "batch=1");
  assertPlay(play, 0);
  assertEquals(resultsOf(play, "Copy").map(({ result }) => result.changed), [true, true]);
  const cuts = resultsOf(play, "Hang up");
  assertEquals(cuts.map(({ result }) => [result.changed, result.report!.hung_up]), [[true, 3], [true, 3]]);
  const order = play.results.filter(({ result }) => result.report).map(({ host, task }) => `${host}: ${task}`);
  assertEquals(order, [
    "one: Hang up, and abort after 10 s what a dead peer does not answer",
    "one: Wait until clients have connected again",
    "two: Hang up, and abort after 10 s what a dead peer does not answer",
    "two: Wait until clients have connected again",
  ]);
  for (const { doomed, kept, netns } of scenes) {
    assertEquals((await doomed.seen()).map(({ ends }) => ends), Array(3).fill(["EOF"]));
    await doomed.assertAlive();
    await kept.assertAlive();
    assertEquals(await netns.resetsSent(), 0);
  }
});

systemTest("Ansible: check mode touches nothing and says what would be", ["ansible-playbook"], async (netns) => {
  const scene = await Scene.make(netns);
  using inventory = await Inventory.make({ one: { netns } });

  const first = await inventory.play("failover", ...VIP, "--check");
  assertPlay(first, 0);
  const { outcome, result: { msg } } = resultsOf(first, "Hang up")[0]!;
  assertEquals(outcome, "skipped");
  assertMatch(msg!, /tcphup-on-one.* yet/);

  assertPlay(await inventory.play(task({ command: "ls", dest: "any" })), 0);
  const second = await inventory.play("failover", ...VIP, "--check");
  assertPlay(second, 0);
  const { result } = resultsOf(second, "Hang up")[0]!;
  assertEquals([result.changed, result.report!.dry_run, result.report!.matched], [true, true, 3]);
  assertEquals(resultsOf(second, "Wait").map(({ outcome }) => outcome), ["skipped"]);
  await scene.assertUntouched();
});

systemTest("Ansible: what is done already changes nothing", ["ansible-playbook"], async (netns) => {
  const scene = await Scene.make(netns);
  using inventory = await Inventory.make({ one: { netns } });

  const play = task({ dest: "127.0.0.2", port: DOOMED_PORT, destroy_after: "10s" });
  const [first, second] = [await inventory.play(play), await inventory.play(play)];
  for (const run of [first, second]) assertPlay(run, 0);
  assertEquals([first, second].map((run) => resultsOf(run, "The task")[0]!.result.changed), [true, false]);
  assertEquals([first, second].map((run) => resultsOf(run, "Copy")[0]!.result.changed), [true, false]);
  await scene.assertHungUp();
});

systemTest("Ansible: another version is copied over the one that is there", ["ansible-playbook"], async (netns) => {
  using inventory = await Inventory.make({ one: { netns } });
  const copied = async () => {
    const play = await inventory.play(task({ command: "ls", dest: "any" }));
    return resultsOf(play, "Copy").map(({ result }) => result.changed);
  };
  assertEquals([await copied(), await copied()], [[true], [false]]);
  await inventory.writeProgram(" another version");
  assertEquals(await copied(), [true]);
});

systemTest("Ansible: keepalive on a fleet", ["ansible-playbook"], async (one) => {
  await using two = await Namespace.create();
  const scenes = [await Scene.make(one), await Scene.make(two)];
  using inventory = await Inventory.make({ one: { netns: one }, two: { netns: two } });
  const values = ["-e", "idle=20", "-e", "interval=5", "-e", "count=2"];
  const timers = async () => {
    const lines = await Promise.all(scenes.map(({ netns }) => netns.ss("-o", "state", "established")));
    return lines.flat().filter((line) => line.includes("timer:(keepalive")).length;
  };

  assertPlay(await inventory.play(task({ command: "ls", dest: "any" })), 0);
  const check = await inventory.play("keepalive", ...values, "--check", "--diff");
  assertPlay(check, 0);
  const checked = resultsOf(check, "Set keepalive");
  assertEquals(checked.map(({ host }) => host).sort(), ["one", "two"]);
  for (const { result: { changed, diff } } of checked) {
    assertEquals(changed, true);
    const line = new RegExp(`^127.0.0.1 port \\d+ to 127.0.0.2 port ${DOOMED_PORT}: (.*)$`, "m");
    assertEquals(line.exec(diff!.before)![1], "off");
    assertEquals(line.exec(diff!.after)![1], "idle 20 s, interval 5 s, count 2, user timeout 30000 ms");
  }
  assertMatch(check.stdout, /^\+.*idle 20 s/m);
  assertEquals(await timers(), 0);

  const [first, second] = [
    await inventory.play("keepalive", ...values),
    await inventory.play("keepalive", ...values),
  ];
  for (const run of [first, second]) assertPlay(run, 0);
  const changed = (run: typeof first) => resultsOf(run, "Set keepalive").map(({ result }) => result.changed);
  assertEquals([changed(first), changed(second)], [[true, true], [false, false]]);
  assertEquals(resultsOf(first, "Set keepalive").map(({ result }) => result.diff), [undefined, undefined]);
  // Both ends of three doomed and three kept connections.
  assertEquals(await timers(), 2 * 12);
  for (const { client } of scenes) await client.connect("127.0.0.2", DOOMED_PORT, { count: 1 });
  // What a listener accepts has it from the start.
  assertEquals(await timers(), 2 * 13);
});

systemTest("Ansible: a host that fails says why, and ends it for the next ones", ["ansible-playbook"], async (one) => {
  await using two = await Namespace.create();
  await using three = await Namespace.create();
  const [first, ...others] = await Promise.all([one, two, three].map((netns) => {
    return Scene.make(netns, { user: OTHER_USER, reconnect: true });
  }));
  using inventory = await Inventory.make({
    one: { netns: one },
    two: { netns: two, without: ["sys_ptrace", "net_admin"] },
    three: { netns: three },
  });
  const play = await inventory.play("failover", ...VIP, "-e", "batch=1");
  assertPlay(play, 2);
  const results = resultsOf(play, "Hang up");
  assertEquals(results.map(({ host, outcome }) => [host, outcome]), [["one", "ok"], ["two", "failed"]]);
  const { msg, exit_code, changed } = results[1]!.result;
  assertEquals([exit_code, changed], [4, false]);
  assertMatch(msg!, /^3 denied: .*CAP_NET_ADMIN.*CAP_SYS_PTRACE/);
  assertEquals((await first!.doomed.seen()).map(({ ends }) => ends), Array(3).fill(["EOF"]));
  for (const scene of others) await scene.assertUntouched();
});

systemTest("Ansible: options of the module", ["ansible-playbook"], async (netns) => {
  const scene = await Scene.make(netns);
  using inventory = await Inventory.make({ one: { netns } });
  const result = async (options: Record<string, unknown>) => {
    const play = await inventory.play(task(options));
    const { outcome, result } = resultsOf(play, "The task")[0]!;
    return { ...result, outcome };
  };

  const listing = { command: "ls", dst: ["127.0.0.2", "127.0.0.3"], dport: DOOMED_PORT, keepalive: true };
  const counted = await result(listing);
  assertEquals([counted.outcome, counted.changed, counted.report!.matched], ["ok", false, 3]);
  assertEquals([counted.connections, "connections" in counted.report!, counted.diff], [[], false, undefined]);
  const listed = await result({ ...listing, connections: 2 });
  assertEquals(listed.connections!.map(({ keepalive }) => keepalive!.enabled), [false, false]);

  const guarded = await result({ dest: "127.0.0.2", port: DOOMED_PORT, max: 2 });
  assertEquals([guarded.outcome, guarded.changed, guarded.exit_code], ["failed", false, 3]);
  assertMatch(guarded.msg!, /3/);

  const wrong = await result({ dest: "127.0.0.2", destroy: true, destroy_after: 5 });
  assertEquals([wrong.outcome, wrong.exit_code], ["failed", 2]);
  assertMatch(wrong.msg!, /--destroy and --destroy-after/);

  const misplaced = await result({ command: "ls", dest: "any", rate: "5/s" });
  assertEquals([misplaced.outcome, misplaced.exit_code], ["failed", 2]);
  assertMatch(misplaced.msg!, /--rate/);

  const unknown = await result({ dest: "any", no_such_option: 1 });
  assertEquals(unknown.outcome, "failed");
  assertMatch(unknown.msg!, /no_such_option/);

  await scene.client.setName("x\x1b[2J\u009b\u202e\n");
  const named = await result({ command: "ls", dest: "127.0.0.2", port: DOOMED_PORT, connections: 1 });
  assertEquals(named.connections![0]!.owners[0]!.comm, "x\\x1b[2J\\x9b\\u202e\\x0a");

  const off = await result({ command: "keepalive", dest: "127.0.0.2", turn_off: true });
  assertEquals([off.outcome, off.changed], ["ok", false]);

  const absent = await result({ dest: "any", executable: "/nonexistent/tcphup" });
  assertEquals(absent.outcome, "failed");
  assertMatch(absent.msg!, /no \/nonexistent\/tcphup on this host/);
  assert(absent.exit_code === undefined);
  await scene.assertUntouched();
});

systemTest(
  "Ansible: of the connections returned, those that failed come first",
  ["ansible-playbook"],
  async (netns) => {
    // Three of another user, which the module has no right to look at, and one of root.
    const without = ["sys_ptrace", "net_admin"];
    const scene = await Scene.make(netns, { user: OTHER_USER });
    const own = await Peer.start(netns, { without }).connect("127.0.0.2", DOOMED_PORT, { count: 1 });
    using inventory = await Inventory.make({ one: { netns, without } });
    const play = await inventory.play(task({ dest: "127.0.0.2", port: DOOMED_PORT, connections: 4 }));
    assertPlay(play, 2);
    const { connections, report, changed } = resultsOf(play, "The task")[0]!.result;
    assertEquals(connections!.map(({ outcome }) => outcome), ["denied", "denied", "denied", "hung-up"]);
    assertEquals([report!.failed, report!.hung_up, changed], [3, 1, true]);
    await own.assertEnded("EOF");
    await scene.assertUntouched();
  },
);

systemTest("Ansible: hosts follow a name by a unit", ["ansible-playbook"], async (netns) => {
  using inventory = await Inventory.make({ one: { netns } });
  const [units, options] = [await inventory.directory("units"), await inventory.directory("options")];
  const variables = {
    follow_name: "db.internal",
    follow_port: 5432,
    follow_options: "--when-idle=200ms --ready",
    follow_unit: FOLLOW_UNIT,
    unit_directory: units,
    options_directory: options,
  };
  const [first, second] = [
    await inventory.play("follow", "-e", JSON.stringify(variables)),
    await inventory.play("follow", "-e", JSON.stringify(variables)),
  ];
  for (const run of [first, second]) assertPlay(run, 0);
  const changed = (run: typeof first) =>
    ["Copy the unit", "Write"].map((name) => resultsOf(run, name)[0]!.result.changed);
  assertEquals([changed(first), changed(second)], [[true, true], [false, false]]);
  const unit = "tcphup-follow@db.internal:5432.service";
  assertEquals(await inventory.systemctl(), [
    "daemon-reload",
    ...[`enable ${unit}`, `start ${unit}`],
    ...[`enable ${unit}`, `start ${unit}`],
  ]);
  const [command] = /^ExecStart=.*$/m.exec(await Deno.readTextFile(`${units}/tcphup-follow@.service`))!;
  assertEquals(command, `ExecStart=${inventory.executable("one")} follow %i $OPTIONS`);
  const text = await Deno.readTextFile(`${options}/db.internal:5432.conf`);
  assertEquals(text, 'OPTIONS="--when-idle=200ms --ready"\n');
});
