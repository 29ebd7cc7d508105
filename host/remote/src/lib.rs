//! Components in other processes as nodes of a pipeline.
