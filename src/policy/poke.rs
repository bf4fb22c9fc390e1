//! Has policies run at once when something happened that they are about.

use super::inputs::instance_place;
use crate::api::session_policy::KratosSessionPolicy;
use crate::context::Context;
use crate::place::Place;

/// An instance came, went, or is another one.
pub fn instance_changed(context: &Context, instance: &Place) {
    poke(context, instance, |_| true);
}

/// An identity that a resource of this namespace manages became inactive.
pub fn deactivated(context: &Context, instance: &Place, namespace: &str) {
    poke(context, instance, |policy| *policy == instance.namespace || *policy == namespace);
}

fn poke(context: &Context, instance: &Place, stands_where: impl Fn(&String) -> bool) {
    let default = context.options.default_instance.as_ref();
    let refers = |policy: &KratosSessionPolicy| {
        instance_place(policy, default).as_ref() == Some(instance)
            && policy.metadata.namespace.as_ref().is_some_and(&stands_where)
    };
    let policies = context.policies.state();
    let meant = policies.iter().filter(|object| object.0.as_ref().is_ok_and(refers));
    for object in meant {
        context.pokes.policy(&Place::of(&**object));
    }
}
