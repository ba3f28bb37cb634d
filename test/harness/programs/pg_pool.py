"""Clients of a PostgreSQL server with a pool of psycopg2's, which write again and again: pg_pool.py HOST CLIENTS.

Whenever a client's writes come to another server, or fail in another way than the one before, it prints a line in JSON.
As in most programs, a connection on which a statement has failed goes back into the pool unless it is closed.
"""

import json
import sys
import threading
import time

import psycopg2
from psycopg2.pool import ThreadedConnectionPool

host, clients = sys.argv[1], int(sys.argv[2])
pool = ThreadedConnectionPool(clients, clients, host=host, user="postgres", dbname="postgres", connect_timeout=5)


def write(connection):
    with connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO writes DEFAULT VALUES RETURNING host(inet_server_addr())")
        return {"server": cursor.fetchone()[0]}


def attempt():
    try:
        connection = pool.getconn()
    except psycopg2.Error as error:
        return {"error": str(error).split("\n")[0]}
    try:
        return write(connection)
    except psycopg2.Error as error:
        return {"error": str(error).split("\n")[0]}
    finally:
        pool.putconn(connection, close=connection.closed != 0)


def client(number):
    before = None
    while True:
        result = attempt()
        if result != before:
            # In one write: the clients are threads.
            print(json.dumps({"client": number, **result}) + "\n", end="", flush=True)
        before = result
        time.sleep(0.02)


for number in range(clients):
    threading.Thread(target=client, args=(number,), daemon=True).start()
sys.stdin.read()
