//! Wire formats: bytes in, values out. No sockets, clocks or futures.
