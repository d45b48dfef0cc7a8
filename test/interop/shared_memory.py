"""Python's side of the interop tests: the standard library's shared memory, and nothing else.

Usage: shared_memory.py create NAME SIZE | write NAME TEXT | read NAME LENGTH
`create` waits for a line on standard input and prints what the segment holds then; all print one line.
"""

import sys
from multiprocessing import resource_tracker, shared_memory


def attach(name):
    memory = shared_memory.SharedMemory(name=name)
    # Up to Python 3.12 attaching registers the object with a tracker that unlinks it when this process ends, though
    # another process made it.
    resource_tracker.unregister(memory._name, "shared_memory")
    return memory


def main(command, name, argument):
    if command == "create":
        memory = shared_memory.SharedMemory(name=name, create=True, size=int(argument))
        memory.buf[:5] = b"hello"
        print("created", flush=True)
        sys.stdin.readline()
        print(bytes(memory.buf[:16]).hex(), flush=True)
        memory.close()
        memory.unlink()
        return
    memory = attach(name)
    if command == "write":
        memory.buf[: len(argument)] = argument.encode()
        print(len(memory.buf))
    else:
        print(bytes(memory.buf[: int(argument)]).hex())
    memory.close()


main(*sys.argv[1:4])
