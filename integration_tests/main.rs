//! The real program against the sandbox.
