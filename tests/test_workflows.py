"""What stands outside the package and runs or names its parts: workflows, hooks, container, forms, owners' pages.

No GitHub is needed: the files are read, and every command, path, module and target that they name is looked for.
"""

import graphlib
import importlib
import importlib.util
import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

import vaelib

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
FORMS = sorted(path for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
PAGES = ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", ".github/PULL_REQUEST_TEMPLATE.md"]
PYTHONS = ["3.11", "3.12", "3.13"]  # what the Makefile accepts; a test below compares

# Made by a command, or by the reader of a page.
MADE = ("build/", ".venv/", "notebooks/NN_", "laplace.py", "free_nats.py")
FOLDERS = {path.name for path in ROOT.iterdir() if path.is_dir()} - {"build"}

posix = pytest.mark.skipif(os.name != "posix", reason="the runners' shell")


def every(path: Path) -> dict:
    """Read a workflow. YAML 1.1 takes the key `on` for the word true."""
    content = yaml.safe_load(path.read_text("utf-8"))
    return {("on" if key is True else key): value for key, value in content.items()}


def jobs():
    return [pytest.param(path, name, id=f"{path.stem}-{name}") for path in WORKFLOWS for name in every(path)["jobs"]]


def as_list(value) -> list:
    return value if isinstance(value, list) else [] if value is None else [value]


def steps(job: dict) -> list[dict]:
    return job.get("steps", [])


def hooks() -> list[dict]:
    repos = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    return [hook | {"repo": repo["repo"]} for repo in repos for hook in repo["hooks"]]


def container() -> dict:
    return json.loads((ROOT / ".devcontainer/devcontainer.json").read_text("utf-8"))


def commands() -> dict[str, str]:
    """Every shell command of a workflow, a hook or the container, by the place where it stands."""
    found = {f"hook-{hook['id']}": hook["entry"] for hook in hooks()}
    found["container"] = container()["postCreateCommand"]
    for path in WORKFLOWS:
        for name, job in every(path)["jobs"].items():
            for number, step in enumerate(steps(job)):
                if "run" in step:
                    found[f"{path.stem}-{name}-{number}"] = step["run"]
    return found


def targets() -> set[str]:
    return set(re.findall(r"^([\w./-]+):(?!=)", MAKEFILE, re.M))


def targets_named(text: str) -> set[str]:
    return set(re.findall(r"\bmake ([a-z.][\w./-]*)", text))


def modules_named(text: str) -> set[str]:
    return set(re.findall(r"python3? -m ([\w.]+)", text))


def is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def exists(path: str) -> bool:
    return path.startswith(MADE) or any(ROOT.glob(path.rstrip("/")))


# Workflows --------------------------------------------------------------------------------------------------------


def test_there_are_workflows():
    assert [path.stem for path in WORKFLOWS] == ["check", "nightly", "release", "site"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_says_when_it_runs_and_reads_only_by_default(path):
    workflow = every(path)
    assert workflow["name"] == path.stem and workflow["on"] and workflow["jobs"]
    assert workflow["permissions"] == {"contents": "read"}
    text = path.read_text("utf-8")
    assert "secrets." not in text, "the token of the run is enough"
    assert "pull_request_target" not in text, "it would run a stranger's code with the owner's rights"
    assert not re.search(r"VAELIB_DATA|shared/", text), "a runner has no data"
    # Raises CycleError; a job that does not exist would show as a node of the graph.
    graph = {name: set(as_list(job.get("needs"))) for name, job in workflow["jobs"].items()}
    assert set(graphlib.TopologicalSorter(graph).static_order()) == set(workflow["jobs"])


@pytest.mark.parametrize("path, name", jobs())
def test_a_job_is_whole(path, name):
    job = every(path)["jobs"][name]
    writes = {right for right, value in job.get("permissions", {}).items() if value != "read"}
    allowed = {("site", "deploy"): {"pages", "id-token"}, ("release", "publish"): {"contents"}}
    assert writes == allowed.get((path.stem, name), set())
    if "uses" in job:
        called = ROOT / job["uses"]
        assert job["uses"].startswith("./.github/workflows/") and "workflow_call" in every(called)["on"]
        return
    assert job["runs-on"] and 0 < job["timeout-minutes"] <= 360 and job["steps"]
    for step in job["steps"]:
        assert ("run" in step) != ("uses" in step)
        if "uses" in step:
            assert re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"]), "an official action by its major version"
    # Where make runs, the project and a Python must be there first.
    if any("make " in step.get("run", "") for step in job["steps"]):
        assert job["steps"][0]["uses"].startswith("actions/checkout@")
        assert job["steps"][1]["uses"].startswith("actions/setup-python@")


@pytest.mark.parametrize("path, name", jobs())
def test_an_expression_names_what_there_is(path, name):
    job = every(path)["jobs"][name]
    matrix = job.get("strategy", {}).get("matrix", {})
    known = {f"matrix.{key}" for key in matrix if key != "include"}
    known |= {f"steps.{step['id']}.outputs.page_url" for step in steps(job) if "id" in step}
    known |= {"github.ref", "github.workflow", "github.token", "github.repository"}
    for expression in re.findall(r"\$\{\{\s*(.*?)\s*\}\}", yaml.safe_dump(job)):
        assert expression in known, f"{expression} is unknown to {path.stem}: {name}"


def test_an_action_has_one_version_in_all_workflows():
    all_steps = [step for path in WORKFLOWS for job in every(path)["jobs"].values() for step in steps(job)]
    used = {step["uses"] for step in all_steps if "uses" in step}
    assert len({action.split("@")[0] for action in used}) == len(used), sorted(used)


@posix
@pytest.mark.parametrize("place", commands())
def test_a_command_names_only_what_exists(place):
    command = commands()[place]
    subprocess.run(["bash", "-n", "-c", command], check=True)
    assert targets_named(command) <= targets()
    modules = modules_named(command)
    assert all(map(is_module, modules)), modules
    # A folder of the project or a file at its root; what a step writes itself stands under build/ or is a glob.
    words = [word for word in re.split(r"[\s\"'()=]+", command) if re.match(r"[\w./-]+$", word)]
    paths = [word for word in words if word.endswith((".py", ".md", ".txt", ".toml")) or word.split("/")[0] in FOLDERS]
    assert all(path == "notes.md" or path in modules or exists(path) for path in paths), paths


def test_the_makefile_takes_the_runners_python_and_every_set_up_goes_through_make():
    for path in WORKFLOWS:
        workflow = every(path)
        assert workflow["env"]["PYTHON"] == "python", "the runner's own python3.12 would be taken first"
    assert "PYTHON ?=" in MAKEFILE, "the environment's PYTHON would not count"


def test_the_tests_run_on_every_python_that_the_package_supports():
    matrix = every(ROOT / ".github/workflows/check.yml")["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["os"] == ["ubuntu-latest"] and matrix["python"] == PYTHONS
    assert [entry["os"] for entry in matrix["include"]] == ["macos-latest"]
    ((low, high),) = re.findall(r"\(3, (\d+)\) <= sys.version_info < \(3, (\d+)\)", MAKEFILE)
    assert PYTHONS == [f"3.{minor}" for minor in range(int(low), int(high))]
    supported = SpecifierSet(PROJECT["requires-python"])
    assert all(f"{version}.0" in supported for version in PYTHONS) and f"3.{int(low) - 1}.9" not in supported
    classifiers = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT.get("classifiers", [])))
    assert classifiers in ([], PYTHONS)


@pytest.mark.parametrize("path, name", jobs())
def test_a_job_asks_for_a_python_that_is_tested(path, name):
    job = every(path)["jobs"][name]
    matrix = job.get("strategy", {}).get("matrix", {})
    versions = [entry["python"] for entry in matrix.get("include", [])]
    for step in steps(job):
        if step.get("uses", "").startswith("actions/setup-python@"):
            version = step["with"]["python-version"]
            versions += matrix["python"] if version == "${{ matrix.python }}" else [version]
            assert (ROOT / step["with"]["cache-dependency-path"]).exists()
    # A version without quotes is a number to YAML: 3.10 would become 3.1.
    assert all(isinstance(version, str) and version in PYTHONS for version in versions), versions


# Releases ---------------------------------------------------------------------------------------------------------


def release_step(name: str) -> str:
    build = every(ROOT / ".github/workflows/release.yml")["jobs"]["build"]
    (script,) = [step["run"] for step in steps(build) if step.get("name") == name]
    return script


def run_as_release(script: str, tag: str, folder: Path) -> subprocess.CompletedProcess:
    environment = {"PATH": os.environ["PATH"], "GITHUB_REF_NAME": tag}
    return subprocess.run(["bash", "-e", "-c", script], cwd=folder, env=environment, capture_output=True, text=True)


@posix
def test_a_release_stops_when_the_tag_is_not_the_version(tmp_path):
    script = release_step("The tag is the version of the package")
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text("utf-8"), "utf-8")
    assert run_as_release(script, f"v{vaelib.__version__}", tmp_path).returncode == 0
    for tag in ["v9.9.9", vaelib.__version__, f"v{vaelib.__version__}.1", "v"]:
        result = run_as_release(script, tag, tmp_path)
        assert result.returncode != 0 and f"is not v{vaelib.__version__}" in result.stdout


@posix
def test_a_release_takes_its_notes_from_its_own_section_of_the_changelog(tmp_path):
    script = release_step("The changelog has a section for it")
    sections = [
        "# Changelog",
        "## Unreleased",
        "new",
        "## 1.0.1 - 2027-01-02",
        "### Fixed",
        "this",
        "## 1.0.0 - 2027-01-01",
    ]
    (tmp_path / "CHANGELOG.md").write_text("\n\n".join([*sections, "old"]))
    assert run_as_release(script, "v1.0.1", tmp_path).returncode == 0
    assert (tmp_path / "build/release/notes.md").read_text().split() == ["###", "Fixed", "this"]
    for tag in ["v1.0", "v1.0.2", "vUnreleased.1"]:
        assert run_as_release(script, tag, tmp_path).returncode != 0
    (tmp_path / "CHANGELOG.md").write_text((ROOT / "CHANGELOG.md").read_text("utf-8"), "utf-8")
    assert run_as_release(script, f"v{vaelib.__version__}", tmp_path).returncode == 0


def test_the_version_and_its_date_are_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert PROJECT["version"] == vaelib.__version__ == citation["version"]
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    released = dict(heading.split(" - ") for heading in headings if heading != "Unreleased")
    assert released[vaelib.__version__] == citation["date-released"].isoformat()
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", date) for date in released.values())
    assert list(released.values()) == sorted(released.values(), reverse=True), "the newest stands first"


def test_the_citation_names_nobody_who_is_not_there():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["cff-version"] == "1.2.0" and citation["type"] == "software"
    assert citation["message"] and citation["title"] and citation["license"] == PROJECT["license"]
    assert citation["authors"] == [{"name": "The vaelib authors"}]
    assert not {"doi", "identifiers", "orcid"} & set(citation)


# Forms, hooks, container ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_can_be_filled_in(path):
    form = yaml.safe_load(path.read_text("utf-8"))
    assert form["name"] and form["description"] and form["labels"]
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert {field["type"] for field in fields} <= {"input", "textarea", "dropdown", "checkboxes"}
    ids = [field["id"] for field in fields]
    assert len(set(ids)) == len(ids) > 0 and any(field.get("validations", {}).get("required") for field in fields)
    labels = [field["attributes"]["label"] for field in fields]
    assert len(set(labels)) == len(labels)
    for field in fields:
        options = field["attributes"].get("options", [])
        assert (field["type"] == "dropdown") == bool(options) and all(isinstance(option, str) for option in options)


def test_there_is_a_form_for_each_who_writes():
    assert [path.stem for path in FORMS] == ["bug", "lesson", "teacher"]


@pytest.mark.parametrize("hook", hooks(), ids=lambda hook: hook["id"])
def test_a_hook_runs_the_projects_own_tool_and_needs_no_network(hook):
    assert hook["repo"] == "local" and hook["language"] == "system" and hook["name"]
    assert hook["entry"].startswith(".venv/bin/python -m ")
    if "files" in hook:
        files = [*(ROOT / "vaelib").rglob("*.py"), *(ROOT / "notebooks").glob("*.ipynb")]
        assert any(re.search(hook["files"], file.relative_to(ROOT).as_posix()) for file in files)
        assert hook["pass_filenames"] is False


def test_the_hooks_are_what_make_test_checks():
    ids = [hook["id"] for hook in hooks()]
    assert ids == ["ruff-check", "ruff-format", "mypy", "notebooks"]
    for tool in ["ruff check", "ruff format --check", "mypy vaelib"]:
        assert f"-m {tool}" in MAKEFILE, f"make test does not run {tool}"


def test_the_container_has_a_python_that_is_tested():
    image = container()["image"]
    (version,) = re.findall(r":(3\.\d+)$", image)
    assert version in PYTHONS and f"PYTHON=python{version}" in container()["postCreateCommand"]


# Pages ------------------------------------------------------------------------------------------------------------


def code_of(page: str) -> tuple[list[str], str]:
    """Return a page's inline code, and its code blocks as one text."""
    text = (ROOT / page).read_text("utf-8")
    blocks = re.findall(r"^```.*?^```", text, re.M | re.S)
    outside = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    return re.findall(r"`([^`\n]+)`", outside), "\n".join(blocks)


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_exists(page):
    spans, blocks = code_of(page)
    suffix = r"\.(?:py|pyi|md|toml|yml|json|txt|ipynb|js|cff)"
    paths = [span for span in spans if re.fullmatch(rf"(?:[\w.*-]+/)+[\w.*-]*|[\w.*-]+{suffix}", span)]
    words = [word for text in [*spans, blocks] for word in text.split()]
    paths += [word for word in words if word.split("/")[0] in FOLDERS and "/" in word]
    links = re.findall(r"\]\(([^)\s]+)\)", (ROOT / page).read_text("utf-8"))
    paths += [link.split("#")[0] for link in links if not link.startswith(("http", "#"))]
    missing = [path for path in paths if not exists(path)]
    assert not missing


@pytest.mark.parametrize("page", PAGES)
def test_every_command_that_a_page_names_exists(page):
    spans, blocks = code_of(page)
    text = "\n".join([*spans, blocks])
    assert targets_named(text) <= targets(), targets_named(text) - targets()
    missing = [name for name in modules_named(text) if not is_module(name)]
    assert not missing


@pytest.mark.parametrize("page", PAGES)
def test_every_name_of_the_package_that_a_page_uses_exists(page):
    spans, _ = code_of(page)
    names = {match for span in spans for match in re.findall(r"\bvaelib(?:\.[A-Za-z_]\w*)+", span)}
    missing = [name for name in sorted(names) if not found(name)]
    assert not missing


def found(name: str) -> bool:
    """Whether a dotted name is a module, or an attribute of one."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        if is_module(".".join(parts[:end])):
            value = importlib.import_module(".".join(parts[:end]))
            for part in parts[end:]:
                if not hasattr(value, part):
                    return False
                value = getattr(value, part)
            return True
    return False
