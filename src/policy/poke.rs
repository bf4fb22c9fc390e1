//! Has policies run when something happened that they are about.

use kube::Resource;

use super::inputs::instance_place;
use crate::api::session_policy::KratosSessionPolicy;
use crate::context::{Context, PolicyObject};
use crate::place::Place;
use crate::queue::Priority;

/// An instance came, went, or is another one: they run at once.
pub fn instance_changed(context: &Context, instance: &Place) {
    poke(
        context,
        instance,
        |_| true,
        |policy| {
            if let Some(uid) = &policy.meta().uid {
                context.runs.want(uid);
            }
        },
    );
}

/// An identity that a resource of this namespace manages became inactive.
pub fn deactivated(context: &Context, instance: &Place, namespace: &str) {
    poke(context, instance, |policy| *policy == instance.namespace || *policy == namespace, |_| ());
}

fn poke(context: &Context, instance: &Place, stands_where: impl Fn(&String) -> bool, before: impl Fn(&PolicyObject)) {
    let default = context.options.default_instance.as_ref();
    let refers = |policy: &KratosSessionPolicy| {
        instance_place(policy, default).as_ref() == Some(instance)
            && policy.metadata.namespace.as_ref().is_some_and(&stands_where)
    };
    let policies = context.policies.state();
    let meant = policies.iter().filter(|object| object.0.as_ref().is_ok_and(refers));
    let places = meant.map(|object| {
        before(object);
        Place::of(&**object)
    });
    context.pokes.policies(places, Priority::Arrived);
}
