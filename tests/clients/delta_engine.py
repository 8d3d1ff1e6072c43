"""The few lines of Python that a host needs to read a table through the C library.

A `Stream` is an Arrow stream by the PyCapsule protocol, so that every program that
knows Arrow takes it as it is.
"""

import ctypes

ABI_VERSION = 1
OK = 0


class Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("message", ctypes.c_char * 1024)]


class ScanOptions(ctypes.Structure):
    """As much of it as is used here, which `struct_size` tells."""

    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("columns", ctypes.POINTER(ctypes.c_char_p)),
        ("columns_len", ctypes.c_size_t),
    ]


class ArrowArrayStream(ctypes.Structure):
    _fields_ = [
        ("get_schema", ctypes.c_void_p),
        ("get_next", ctypes.c_void_p),
        ("get_last_error", ctypes.c_void_p),
        ("release", ctypes.CFUNCTYPE(None, ctypes.c_void_p)),
        ("private_data", ctypes.c_void_p),
    ]


STREAM_NAME = b"arrow_array_stream"
# Those that a capsule owns, by their addresses.
owned = {}

new_capsule = ctypes.pythonapi.PyCapsule_New
new_capsule.restype = ctypes.py_object
new_capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
# A capsule that ends must not be referred to again, so it is an address here.
pointer_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


@ctypes.PYFUNCTYPE(None, ctypes.c_void_p)
def capsule_ends(capsule):
    arrow = owned.pop(pointer_of(capsule, STREAM_NAME))
    # Whoever has moved the stream elsewhere has left no `release` behind.
    if arrow.release:
        arrow.release(ctypes.addressof(arrow))


class Library:
    def __init__(self, path):
        self.library = ctypes.CDLL(path)
        assert self.library.engine_abi_version() == ABI_VERSION

    def rows(self, table, columns=()):
        """The rows of a table: its columns at these paths, or all of them."""
        library, handles = self.library, []
        names = (ctypes.c_char_p * len(columns))(*(name.encode() for name in columns))
        options = ScanOptions(ctypes.sizeof(ScanOptions), names, len(columns))

        def made(function, free, *arguments):
            handle = ctypes.c_void_p()
            self.call(function, *arguments, ctypes.byref(handle))
            handles.append((free, handle))
            return handle

        try:
            engine = made(library.engine_new, library.engine_free, None)
            snapshot = made(
                library.engine_snapshot_open, library.engine_snapshot_free, engine, table.encode()
            )
            scan = made(
                library.engine_scan_new, library.engine_scan_free, snapshot, ctypes.byref(options)
            )
            stream = made(library.engine_scan_rows, library.engine_stream_free, scan)
            arrow = ArrowArrayStream()
            self.call(library.engine_stream_export, stream, ctypes.byref(arrow))
            address = ctypes.addressof(arrow)
            owned[address] = arrow
            return Stream(new_capsule(address, STREAM_NAME, capsule_ends))
        finally:
            # A stream needs none of what it came from.
            for free, handle in reversed(handles):
                free(handle)

    def call(self, function, *arguments):
        error = Error()
        if function(*arguments, ctypes.byref(error)) != OK:
            raise RuntimeError(error.message.decode())


class Stream:
    """An Arrow stream that is read once."""

    def __init__(self, capsule):
        self.capsule = capsule

    def __arrow_c_stream__(self, requested_schema=None):
        return self.capsule
