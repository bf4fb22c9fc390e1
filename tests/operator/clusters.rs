//! Several clusters over one Kratos, and one that was rebuilt.
