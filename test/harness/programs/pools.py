"""Clients of a server with a pool of connections, which ask it again and again: pools.py KIND HOST CLIENTS.

Each client prints a line in JSON when it begins a request, and one when that has ended. Told to "pause" the program prints
{"resting": true} once no client is asking; told to "go" the clients go on. The other programs here that are called pools
do the same.
"""

import json
import sys
import threading
import time
import urllib.request

kind, host, clients = sys.argv[1], sys.argv[2], int(sys.argv[3])


def redis_py():
    import redis

    pool = redis.Redis(host=host, max_connections=clients)
    return pool.ping


def psycopg2():
    """Each client keeps its connection as long as it lasts, so that there are as many as clients."""
    import psycopg2
    from psycopg2.pool import ThreadedConnectionPool

    pool = ThreadedConnectionPool(clients, clients, host=host, user="postgres", dbname="postgres")
    local = threading.local()

    def ask():
        if not hasattr(local, "connection"):
            local.connection = pool.getconn()
        try:
            with local.connection, local.connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        finally:
            if local.connection.closed:
                pool.putconn(local.connection, close=True)
                del local.connection

    return ask


def psycopg():
    """The pool of psycopg 3, which replaces a connection once a request has failed with it."""
    from psycopg_pool import ConnectionPool

    pool = ConnectionPool(f"host={host} user=postgres dbname=postgres", min_size=clients)

    def ask():
        with pool.connection() as connection:
            connection.execute("SELECT 1")

    return ask


def proxy():
    """The pool is that of an HTTP proxy, whose clients connect anew for each request."""

    def ask():
        with urllib.request.urlopen(f"http://{host}/") as response:
            response.read()

    return ask


def say(**line):
    # In one write: the clients are threads.
    print(json.dumps(line) + "\n", end="", flush=True)


def now_ms():
    return int(time.time() * 1000)


def client(number):
    while True:
        going.wait()
        with lock:
            if not going.is_set():
                continue
            asking.add(number)
        begin = now_ms()
        say(client=number, begin=begin)
        error = None
        try:
            ask()
        except Exception as failure:
            error = f"{type(failure).__name__}: {failure}"
        say(client=number, begin=begin, end=now_ms(), error=error)
        with lock:
            asking.remove(number)
            lock.notify_all()
        time.sleep(0.05)


ask = {"redis-py": redis_py, "psycopg2": psycopg2, "psycopg": psycopg, "nginx": proxy, "HAProxy": proxy}[kind]()
going, asking, lock = threading.Event(), set(), threading.Condition()
going.set()
for number in range(clients):
    threading.Thread(target=client, args=(number,), daemon=True).start()
for line in sys.stdin:
    if line == "go\n":
        going.set()
    else:
        with lock:
            going.clear()
            lock.wait_for(lambda: not asking)
        say(resting=True)
