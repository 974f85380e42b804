//! Model problems: the systems that experiments run on.
