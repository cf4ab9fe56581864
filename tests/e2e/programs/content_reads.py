"""Reads files in every way that there is: content_reads.py FOLDER, which has `.env`, `keys/large`,
`plain` and `link`, which points to `.env`.

Prints a JSON list of what calls returned, in order: name of the file, position, size. Nothing but
the files in the folder is read in between.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import sys

libc = ctypes.CDLL(None, use_errno=True)
root = sys.argv[1]
told: list[tuple[str, int, int]] = []
opened = {name: os.open(f"{root}/{name}", os.O_RDONLY) for name in ("plain", "keys/large", ".env")}
by_link = os.open(f"{root}/link", os.O_RDWR)
written = os.open(f"{root}/copy", os.O_RDWR | os.O_CREAT)
env, large = opened[".env"], opened["keys/large"]

os.read(opened["plain"], 4096)
told.append((".env", 0, len(os.read(env, 10))))
told.append((".env", 10, len(os.read(env, 4096))))
os.read(env, 4096)  # its end
told.append((".env", 0, len(os.read(by_link, 20))))
told.append((".env", 5, len(os.pread(by_link, 6, 5))))
for size in (512, 513, 4096, 4097, 16384, 16385, 65536):
    at = os.lseek(large, 0, os.SEEK_CUR)
    told.append(("keys/large", at, len(os.read(large, size))))
told.append(("keys/large", 7, len(os.pread(large, 65000, 7))))
os.lseek(large, 100, os.SEEK_SET)
first, second = bytearray(30), bytearray(50)
os.readv(large, [first, second])
told.append(("keys/large", 100, 30))
os.preadv(large, [first, second], 1000)
told.append(("keys/large", 1000, 30))
os.preadv(large, [first], 2000, os.RWF_HIPRI)
told.append(("keys/large", 2000, 30))
unseen = 100
os.pread(large, 100_000, 0)
told.append(("keys/large", 0, 65536))
unseen += 100_000 - 65536
os.lseek(large, 0, os.SEEK_SET)
read, write = os.pipe()
unseen += os.sendfile(write, large, 0, 1000)
unseen += os.splice(large, write, 2000)
unseen += os.copy_file_range(large, written, 3000)
mmap.mmap(env, 0, prot=mmap.PROT_READ)
unseen += os.fstat(env).st_size
child = os.fork()
if not child:
    again = os.open(f"{root}/keys/large", os.O_RDONLY)
    os.read(again, 11)
    os._exit(0)
os.waitpid(child, 0)
told.append(("keys/large", 0, 11))
print(json.dumps({"seen": told, "unseen": unseen}))
