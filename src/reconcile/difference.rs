//! In what something that is registered differs from what is wanted.

use crate::{registry::Registered, service::Service};

/// The fields in which an entry differs from what is wanted.
pub(super) fn differences(service: &Service, registered: &Registered) -> Vec<&'static str> {
    let wanted = Registered::from(service);
    let mut fields = Vec::new();
    let mut compare = |field, equal: bool| {
        if !equal {
            fields.push(field);
        }
    };
    compare("name", wanted.name == registered.name);
    compare("address", wanted.address == registered.address);
    compare("port", wanted.port == registered.port);
    // With tag override, others may change the tags.
    compare("tags", wanted.enable_tag_override || wanted.tags == registered.tags);
    compare("meta", wanted.meta == registered.meta);
    compare("weights", wanted.weights == registered.weights);
    compare("enable-tag-override", wanted.enable_tag_override == registered.enable_tag_override);
    // Consul adds tagged addresses of its own.
    let addresses = &registered.tagged_addresses;
    let all = wanted.tagged_addresses.iter().all(|(tag, at)| addresses.get(tag) == Some(at));
    compare("tagged-addresses", all);
    fields
}
