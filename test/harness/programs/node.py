"""A node of a cluster in small: runs as the first process of a PID namespace of its own, with network namespaces as pods.

Standard input: one JSON object with
    pods      one object each: the user that its application runs as, and the address that this connects to
    program   a command, which runs in a pod without an application; {pod} in it is the process id of the first one
Standard output: one JSON object with the code, stdout and stderr of the program, and in "pods", for each, how its client's
connections are: "EOF", the name of an errno, or "alive".

An application holds a server, which accepts all connections but the last, and three connections to it on port 8000.
"""

import json
import subprocess
import sys

APPLICATION = """
import errno, select, socket, sys
address = sys.argv[1]
listener = socket.create_server((address, 8000))
clients = [socket.create_connection((address, 8000)) for _ in range(3)]
accepted = [listener.accept()[0] for _ in range(2)]
print("ready", flush=True)
sys.stdin.read()
for client in clients:
    client.setblocking(False)
    try:
        print("EOF" if client.recv(1) == b"" else "data")
    except BlockingIOError:
        print("alive")
    except OSError as error:
        print(errno.errorcode[error.errno])
"""

wanted = json.load(sys.stdin)


def in_pod(command):
    return ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command]


def start(pod):
    user = ["setpriv", f"--reuid={pod['user']}", f"--regid={pod['user']}", "--clear-groups"]
    command = in_pod([*user, "/usr/bin/python3", "-c", APPLICATION, pod["address"]])
    application = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if application.stdout.readline() != "ready\n":
        sys.exit("an application did not start")
    return application


applications = [start(pod) for pod in wanted["pods"]]
command = [word.replace("{pod}", str(applications[0].pid)) for word in wanted["program"]]
program = subprocess.run(in_pod(command), capture_output=True, text=True)
pods = [application.communicate()[0].split() for application in applications]
json.dump({"code": program.returncode, "stdout": program.stdout, "stderr": program.stderr, "pods": pods}, sys.stdout)
