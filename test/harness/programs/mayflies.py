"""An application whose processes never stay: usage mayflies.py ADDRESS PORT

Keeps four children alive at a time, each of which opens three connections and exits within 20 ms without a word to
anybody. When standard input ends, one line of JSON tells how many there were.
"""

import json
import os
import random
import select
import socket
import sys
import time

address, port = sys.argv[1], int(sys.argv[2])


def live_and_die():
    _held = [socket.create_connection((address, port)) for _ in range(3)]
    time.sleep(random.uniform(0, 0.02))
    os._exit(0)


def standard_input_ended():
    return select.select([0], [], [], 0)[0] and not os.read(0, 1)


alive, count = 0, 0
while not standard_input_ended():
    if alive < 4:
        if os.fork() == 0:
            live_and_die()
        alive, count = alive + 1, count + 1
    else:
        os.wait()
        alive -= 1
while alive:
    os.wait()
    alive -= 1
print(json.dumps({"processes": count}))
