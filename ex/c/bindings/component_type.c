// The component's type is added by wasm-tools from wit/ (see build.sh), and not
// linked in as an object file, which the generated bindings ask for here.
void __component_type_object_force_link_stage_component(void) {}
