#!/usr/bin/env python3
"""Make everything ready that this project needs, then run a command in it.

    python3 scripts/setup.py                    make .venv ready, and no more
    python3 scripts/setup.py pytest -k slides   ... and run a command from it
    python3 scripts/setup.py --display pytest   ... on a screen, real or virtual
    python3 scripts/setup.py --window COMMAND   ... that sees to its own virtual screen
    python3 scripts/setup.py --lock             write constraints.txt anew

It needs Python >= 3.11 with pip, and the package registry that pip is set up for. It
brings uv into .uv/ where there is none, creates .venv, and installs the project there
(editable, with the versions of constraints.txt). What is ready already is left alone,
so a second run takes no time.
"""

# Only the standard library, and syntax that older Pythons can parse: one that is too
# old has to get as far as looking for a newer one.
import ast
import ctypes
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
UV_HOME = ROOT / ".uv"
STAMP = VENV / "napari-pathfm-setup.json"
CONSTRAINTS = ROOT / "constraints.txt"
WINDOWS = os.name == "nt"
BIN = "Scripts" if WINDOWS else "bin"

OLDEST_PYTHON = (3, 11)
OLDEST_UV = (0, 9)
EXTRAS = "all,distributed,docs,h5,index,openvino,train,transformers"
GROUP = "dev"

# What PyQt6 and vispy load that a bare Linux lacks, and the Debian package of each.
# Read off the wheels with `readelf -d`; what these packages bring in turn is left out.
LIBRARIES = {
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libgssapi_krb5.so.2": "libgssapi-krb5-2",
    "libX11-xcb.so.1": "libx11-xcb1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
}
VIRTUAL_SCREEN = {"xvfb-run": "xvfb", "xauth": "xauth"}


def say(message):
    """Report a step, on stderr so that a command's own output stays clean."""
    print("setup: " + message, file=sys.stderr, flush=True)


def stop(message):
    """End with one clear line."""
    say(message)
    sys.exit(1)


def run(command, env=None):
    """Run a step and stop where it fails; its own output says why."""
    code = subprocess.run([str(part) for part in command], cwd=ROOT, env=env).returncode
    if code:
        stop("this failed, see above: " + " ".join(str(part) for part in command))


def answer(command):
    """Return what a command prints, or None where it cannot be run."""
    try:
        done = subprocess.run(
            [str(part) for part in command],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            universal_newlines=True,
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


# ------------------------------------------------------------------------------- Python


def need_python():
    """Go on under a Python that is new enough, or say what to do."""
    if sys.version_info >= OLDEST_PYTHON:
        return
    for name in ("python3.13", "python3.12", "python3.11", "python3.14"):
        # A name on PATH may be a version manager's shim with nothing behind it: ask it.
        if shutil.which(name) and answer([name, "-c", "print(1)"]) == "1":
            os.execvp(name, [name, *sys.argv])
    stop(
        "Python >= 3.11 is needed, this is {}.{}, and no python3.11 to python3.14 was "
        "found on PATH. Install one, or name it: make PYTHON=/path/to/python3.11 "
        "...".format(*sys.version_info[:2])
    )


def base_python():
    """Return the interpreter behind this one: a virtual environment may lack pip."""
    return getattr(sys, "_base_executable", None) or sys.executable


# ----------------------------------------------------------------------------------- uv


def pip_configuration():
    """Return pip's settings by option name: the environment over the files."""
    found = {}
    listed = answer([base_python(), "-m", "pip", "config", "list"]) or ""
    scopes = {"global": 0, "install": 1, ":env:": 2}
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        scope, _, option = key.partition(".")
        rank = scopes.get(scope)
        if rank is not None and rank >= found.get(option, (0, ""))[0]:
            found[option] = (rank, str(ast.literal_eval(value)))
    return {option: value for option, (_, value) in found.items()}


def uv_environment():
    """Return an environment in which uv asks the registry that pip is set up for.

    uv does not read pip's configuration. What the environment tells uv itself is kept.
    Local folders among pip's extra indexes are left out: they may offer builds (a
    CPU-only torch, say) that do not go with what the registry has.
    """
    env = dict(os.environ)
    pip = pip_configuration()
    extra = [url for url in pip.get("extra-index-url", "").split() if "://" in url]
    extra = [url for url in extra if not url.startswith("file:")]
    told = {
        "UV_DEFAULT_INDEX": pip.get("index-url", ""),
        "UV_INDEX": " ".join(extra),
        "UV_INDEX_STRATEGY": "unsafe-best-match" if extra else "",  # as pip chooses
        "UV_INSECURE_HOST": pip.get("trusted-host", ""),
        "SSL_CERT_FILE": pip.get("cert", ""),
        "ALL_PROXY": pip.get("proxy", ""),
        "UV_SYSTEM_CERTS": "1",  # as pip trusts
        "UV_HTTP_TIMEOUT": "300",  # torch brings files of several hundred MB
        "UV_PYTHON_DOWNLOADS": "never",
    }
    if "UV_INDEX_URL" in env:  # the older name of the same setting
        told["UV_DEFAULT_INDEX"] = ""
    for name, value in told.items():
        if value:
            env.setdefault(name, value)
    return env


def uv_version(program):
    """Return uv's version as a tuple, () where there is no working uv."""
    words = (answer([program, "--version"]) or "").split()
    if len(words) < 2:
        return ()
    return tuple(int(part) for part in words[1].split(".")[:2] if part.isdigit())


def bring_uv():
    """Return a working uv: the one on PATH, the one in .uv/, or a new one there."""
    own = [
        UV_HOME / folder / ("uv.exe" if WINDOWS else "uv") for folder in (BIN, "bin")
    ]
    for program in ("uv", *own):
        if uv_version(program) >= OLDEST_UV:
            return str(program)
    say("no uv on PATH; bringing one into .uv/ by pip")
    python = base_python()
    # `--target` needs neither the venv module nor an interpreter that may be changed.
    pip = [python, "-m", "pip", "install", "--quiet", "--upgrade", "--target", UV_HOME]
    if answer([python, "-m", "pip", "--version"]) is None:
        run([python, "-m", "venv", UV_HOME])
        pip = [UV_HOME / BIN / "python", "-m", "pip", "install", "--quiet"]
    env = dict(os.environ, PIP_ROOT_USER_ACTION="ignore")  # .uv/ is nobody's but ours
    run([*pip, "--constraint", CONSTRAINTS, "uv"], env)
    for program in own:
        if uv_version(program) >= OLDEST_UV:
            return str(program)
    return stop("the uv that pip put into .uv/ does not run; remove .uv/ and try again")


# -------------------------------------------------------------------------------- .venv


def wanted():
    """Return what .venv has to have been made from."""
    inputs = hashlib.sha256()
    for path in (ROOT / "pyproject.toml", CONSTRAINTS):
        inputs.update(path.read_bytes())
    inputs.update("{} {}".format(EXTRAS, GROUP).encode())
    return {
        "python": "{}.{}.{}".format(*sys.version_info[:3]),
        "root": str(ROOT),  # an environment that was moved does not work
        "inputs": inputs.hexdigest(),
    }


def need_environment():
    """Create and fill .venv unless it is as it should be."""
    want = wanted()
    try:
        have = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        have = {}
    python = VENV / BIN / "python"
    runs = answer(
        [python, "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"]
    )
    fits = runs == want["python"] and have.get("root", str(ROOT)) == str(ROOT)
    if fits and have == want:
        return
    uv = bring_uv()
    env = uv_environment()
    if not fits:
        say("creating .venv with Python " + want["python"])
        run([uv, "venv", "--quiet", "--clear", "--python", base_python(), VENV], env)
    say("installing the project with the versions of constraints.txt (about 5 GB)")
    pins = ["--constraint", CONSTRAINTS, "--build-constraints", CONSTRAINTS]
    what = ["--editable", ".[" + EXTRAS + "]", "--group", GROUP]
    run([uv, "pip", "install", "--python", python, *what, *pins], env)
    STAMP.write_text(json.dumps(want), encoding="utf-8")
    say("ready")


def lock():
    """Resolve pyproject.toml for every Python and system into constraints.txt."""
    CONSTRAINTS.touch()
    uv = bring_uv()
    new = CONSTRAINTS.with_suffix(".new")
    new.unlink(
        missing_ok=True
    )  # uv would prefer the versions it finds in its output file
    what = ["pyproject.toml", "--all-extras", "--group", GROUP, "--group", "bootstrap"]
    where = ["--universal", "--python-version", "{}.{}".format(*OLDEST_PYTHON)]
    form = ["--quiet", "--no-header", "--no-annotate", "--output-file", new]
    run([uv, "pip", "compile", *what, *where, *form], uv_environment())
    head = "# The versions that `make` installs; `make lock` writes this file.\n"
    new.write_text(head + new.read_text(encoding="utf-8"), encoding="utf-8")
    os.replace(new, CONSTRAINTS)


# ------------------------------------------------------------------------------- screen


def loads(library):
    """Say whether the dynamic linker finds a library."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def has_screen():
    """Say whether a window would be seen; only Linux can be without a screen."""
    if not sys.platform.startswith("linux"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def need_screen():
    """Install the system libraries that a window needs, or print the line that does."""
    if not sys.platform.startswith("linux"):
        return
    programs = {} if has_screen() else VIRTUAL_SCREEN
    missing = [name for name in LIBRARIES if not loads(name)]
    missing += [name for name in programs if shutil.which(name) is None]
    if not missing:
        return
    packages = [{**LIBRARIES, **programs}[name] for name in missing]
    install = "apt-get install -y --no-install-recommends " + " ".join(packages)
    line = "sudo sh -c 'apt-get update && {}'".format(install)
    if shutil.which("apt-get") is None:
        stop(
            "this system lacks {}. Install the packages that bring them; on Debian and "
            "Ubuntu that is: {}".format(", ".join(missing), line)
        )
    if os.geteuid() == 0:
        sudo = []
    elif shutil.which("sudo") and answer(["sudo", "-n", "true"]) is not None:
        sudo = ["sudo", "-n"]
    else:
        stop("Qt needs system libraries. Run this line, then make again: " + line)
    say("installing the system libraries of Qt and OpenGL: " + " ".join(packages))
    quiet = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    run([*quiet, "update"])
    run([*quiet, "install", "-y", "--no-install-recommends", *packages])


# ---------------------------------------------------------------------------------- run


def launch(command, display):
    """Replace this process by a command of .venv."""
    env = dict(os.environ, VIRTUAL_ENV=str(VENV))
    env["PATH"] = str(VENV / BIN) + os.pathsep + env.get("PATH", "")
    env.pop("PYTHONHOME", None)
    if display and not has_screen():
        command = ["xvfb-run", "-a", "-s", "-screen 0 1600x1200x24", *command]
    sys.stderr.flush()
    if WINDOWS:
        program = shutil.which(command[0], path=env["PATH"]) or command[0]
        sys.exit(subprocess.run([program, *command[1:]], env=env).returncode)
    try:
        os.execvpe(command[0], command, env)
    except FileNotFoundError:
        stop("no such command in .venv or on PATH: " + command[0])


def main(arguments):
    """Read the arguments and do it."""
    if arguments[:1] in (["-h"], ["--help"]):
        print(__doc__)
        return
    need_python()
    if arguments == ["--lock"]:
        lock()
        return
    display = arguments[:1] == ["--display"]
    window = display or arguments[:1] == ["--window"]
    command = arguments[1:] if window else arguments
    if command[:1] and command[0].startswith("-"):
        stop("unknown option {}; see --help".format(command[0]))
    if window:
        need_screen()
    need_environment()
    if command:
        launch(command, display)


if __name__ == "__main__":
    main(sys.argv[1:])
