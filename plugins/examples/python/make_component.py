"""Makes a component of src/plugin.py, with the packages of packages.txt; build.sh calls it.

    make_component.py OUTPUT

With still.c loaded, one source gives one component; without it, a component that works as well.
"""

import ctypes
import os
import sys

import componentize_py


def hold_still() -> str:
    """Have the tool see nothing of this machine. Says why it cannot be had; nothing if it is."""
    lacking = os.environ.get("STILL_LACKING")
    if lacking:
        return lacking
    try:
        error = ctypes.CDLL(None).hold_still()
    except (AttributeError, OSError) as failure:
        return f"still.c was not loaded ({failure})"
    return os.strerror(error) if error else ""


lacking = hold_still()
if lacking:
    print(f"build.sh: the component is not reproducible, each build has another digest: {lacking}", file=sys.stderr)
try:
    componentize_py.componentize(
        wit_path=["wit"],
        worlds=["stage-component"],
        features=[],
        all_features=False,
        world_module=None,
        # Not what else is installed on this machine.
        python_path=["src", "build/packages"] if os.path.isdir("build/packages") else ["src"],
        module_worlds=[],
        app_name="plugin",
        output_path=sys.argv[1],
        # A stage needs nothing of WASI.
        stub_wasi=True,
        import_interface_names=[],
        export_interface_names=[],
        full_names=False,
        intersect_world=None,
    )
except AssertionError as error:
    # What comes behind the cause is the tool's own stack.
    sys.exit(str(error).split("\nStack backtrace:")[0].rstrip())
