//! A Koji hub session: XML-RPC, login, call numbers, retries, multicall, chunked upload.
