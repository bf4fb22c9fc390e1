//! Processes killed and started again: the operator, Kratos, the kube-apiserver.
