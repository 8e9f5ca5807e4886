"""HEST's protocol on its file layout, against scikit-learn and by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import pearsonr

from napari_pathfm.cli import main
from napari_pathfm.errors import PathfmError
from napari_pathfm.evaluation import expression, expression_tasks, write_report
from napari_pathfm.evaluation._expression import (
    correlations,
    drawn_correlations,
    predict_expression,
)
from napari_pathfm.evaluation._h5ad import read_expression

h5py = pytest.importorskip("h5py")

GENES = ["ACTB", "KRT8", "CD3E"]
# What a file has beside them, in another order.
ALL = ["CD3E", "MALAT1", "ACTB", "XIST", "KRT8"]


def write_h5ad(path, counts, barcodes, genes=ALL, form="csr"):
    """AnnData's form on disk; `form` is how X is kept."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        if form == "dense":
            file["X"] = counts
        else:
            x = getattr(sparse, f"{form}_matrix")(counts)
            group = file.create_group("X")
            group.attrs["encoding-type"] = f"{form}_matrix"
            group.attrs["shape"] = x.shape
            for name in ("data", "indices", "indptr"):
                group[name] = getattr(x, name)
        for name, names in (("obs", barcodes), ("var", genes)):
            group = file.create_group(name)
            group.attrs["_index"] = "names"
            group["names"] = np.array(names, object)
    return path


def write_section(folder, name, *, n=30, seed=0, form="csr"):
    """Patches whose redness is expressed as ACTB and whose blueness as KRT8."""
    rng = np.random.default_rng(seed)
    levels = rng.integers(60, 200, (n, 2))
    images = np.full((n, 16, 16, 3), 128, np.uint8)
    images[..., 0], images[..., 2] = levels[:, :1, None], levels[:, 1:, None]
    noise = rng.integers(-5, 6, images.shape)
    images = (images + noise).astype(np.uint8)
    counts = rng.poisson(3.0, (n, len(ALL)))
    counts[:, ALL.index("ACTB")] = levels[:, 0]
    counts[:, ALL.index("KRT8")] = levels[:, 1]
    barcodes = [f"{name}-{i}" for i in range(n)]
    (folder / "patches").mkdir(parents=True, exist_ok=True)
    with h5py.File(folder / f"patches/{name}.h5", "w") as file:
        file["img"] = images
        file["coords"] = np.zeros((n, 2), int)
        file["barcodes"] = np.array(barcodes, "S")[:, None]
    # The expression's spots come in another order, and there is one more.
    order = rng.permutation(n)
    more = np.concatenate([counts[order], np.ones((1, len(ALL)), int)])
    names = [barcodes[i] for i in order] + ["off-tissue"]
    write_h5ad(folder / f"adata/{name}.h5ad", more.astype("f4"), names, form=form)
    return images, counts


def write_split(folder, number, train, test):
    (folder / "splits").mkdir(parents=True, exist_ok=True)
    for side, names in (("train", train), ("test", test)):
        rows = [f"{n},patches/{n}.h5,adata/{n}.h5ad" for n in names]
        text = "\n".join(["sample_id,patches_path,expr_path", *rows])
        (folder / f"splits/{side}_{number}.csv").write_text(text + "\n")


@pytest.fixture
def task(tmp_path):
    """Two sections, each tested once; one dense and one sparse by columns."""
    folder = tmp_path / "bench" / "IDC"
    made = {
        "A": write_section(folder, "A", seed=1, form="csc"),
        "B": write_section(folder, "B", seed=2, n=25, form="dense"),
    }
    write_split(folder, 0, ["A"], ["B"])
    write_split(folder, 1, ["B"], ["A"])
    (folder / "var_50genes.json").write_text(json.dumps({"genes": GENES}))
    return folder, made


def test_the_regression_is_scikit_learns():
    """The same by its parts: centring, singular vectors, normal equations."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(80, 12)), rng.normal(size=(80, 3)) + 2
    new = rng.normal(size=(20, 12))
    scaled, other = ((part - x.mean(0)) / x.std(0) for part in (x, new))
    _, _, axes = np.linalg.svd(scaled, full_matrices=False)
    z, look = scaled @ axes.T, other @ axes.T
    weights = np.linalg.solve(z.T @ z + 100 / (12 * 3) * np.eye(12), z.T @ y)
    # HEST's solver stops at a ten-thousandth.
    np.testing.assert_allclose(predict_expression(x, y, new), look @ weights, atol=5e-3)


def test_long_features_are_cut_to_256_components():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(400, 300)), rng.normal(size=(400, 2))
    from sklearn.decomposition import PCA
    from sklearn.linear_model import Ridge
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(x)
    pca = PCA(256, random_state=1).fit(scaler.transform(x))
    z = pca.transform(scaler.transform(x))
    ridge = Ridge(
        alpha=100 / (256 * 2), solver="lsqr", fit_intercept=False, max_iter=1000
    ).fit(z, y)
    np.testing.assert_allclose(
        predict_expression(x, y, x[:50]), ridge.predict(z[:50]), atol=1e-6
    )


def test_correlations_are_pearsons_and_of_constants_unknown():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 40, 4)) + 1e3
    x[:, 2] = 7.0
    found = correlations(x, y)
    for gene in (0, 1, 3):
        assert found[gene] == pytest.approx(pearsonr(x[:, gene], y[:, gene])[0])
    assert np.isnan(found[2])
    drawn = drawn_correlations(x, y, draws=300, seed=0)
    assert drawn.shape == (300, 4)
    low, high = np.percentile(drawn[:, 0], [2.5, 97.5])
    assert low < found[0] < high


@pytest.mark.parametrize("form", ["dense", "csr", "csc"])
def test_spots_and_genes_are_joined_by_name(tmp_path, form):
    counts = np.arange(20.0).reshape(4, 5)
    path = write_h5ad(tmp_path / "a.h5ad", counts, list("wxyz"), form=form)
    found = read_expression(path, ["y", "w"], GENES)
    np.testing.assert_array_equal(found, counts[[2, 0]][:, [2, 4, 0]])


def test_the_figure_is_that_of_the_steps_by_hand(task, encoder):
    folder, made = task
    report = expression(expression_tasks(folder), encoder, draws=50)
    features = {
        name: encoder.encode(
            np.stack([_resized(image, encoder.spec.tile_px) for image in images])
        ).pooled
        for name, (images, _) in made.items()
    }
    truth = {
        name: np.log1p(counts[:, [ALL.index(gene) for gene in GENES]])
        for name, (_, counts) in made.items()
    }
    folds = []
    for fitted, tested in (("A", "B"), ("B", "A")):
        said = predict_expression(features[fitted], truth[fitted], features[tested])
        folds.append(
            [pearsonr(*pair)[0] for pair in zip(truth[tested].T, said.T, strict=True)]
        )
    results = report.results["tasks"]["IDC"]
    means = np.mean(folds, axis=1)
    assert results["pearson_mean"].value == pytest.approx(means.mean(), abs=1e-4)
    assert results["pearson_std"] == pytest.approx(means.std(), abs=1e-4)
    assert results["genes"]["ACTB"].value == pytest.approx(
        np.mean(folds, axis=0)[0], abs=1e-4
    )
    # Redness is seen, counts drawn at random are not.
    assert results["genes"]["ACTB"].value > 0.5
    assert abs(results["genes"]["CD3E"].value) < 0.5


def _resized(image, px):
    from PIL import Image

    return np.asarray(Image.fromarray(image).resize((px, px), Image.Resampling.BICUBIC))


def test_genes_that_are_constant_are_left_out_and_told_of(task, encoder):
    folder, _ = task
    barcodes = [f"B-{i}" for i in range(25)]
    counts = np.random.default_rng(0).poisson(5, (25, 5)).astype(float)
    counts[:, ALL.index("CD3E")] = 0
    write_h5ad(folder / "adata/B.h5ad", counts, barcodes)
    report = expression(expression_tasks(folder), encoder, draws=20)
    assert np.isfinite(report.results["pearson_mean"].value)
    # Tested there it has no correlation, and learnt from there no prediction.
    assert any("2 genes of folds are constant" in note for note in report.notes)
    genes = report.to_json()["results"]["tasks"]["IDC"]["genes"]
    assert genes["CD3E"]["value"] is None
    assert np.isfinite(genes["ACTB"]["value"])


def test_report_and_page(task, encoder, tmp_path):
    folder, _ = task
    heard = []
    report = expression(
        expression_tasks(folder.parent),
        encoder,
        mpp=0.5,
        draws=20,
        progress=lambda done, total: heard.append((done, total)),
    )
    assert heard[-1] == (55, 55)
    data, page = write_report(report, tmp_path / "out")
    written = json.loads(data.read_text())
    assert written["facts"]["genes"] == {"IDC": GENES}
    assert written["facts"]["mpp"] == 0.5
    figure = written["results"]["pearson_mean"]
    assert figure["low"] <= figure["value"] <= figure["high"]
    assert page.read_text().count("<svg") == 2
    assert "KRT8" in page.read_text()


def test_from_the_shell(task, tmp_path, in_the_shell, capsys):
    folder, _ = task
    arguments = ["evaluate", "expression", str(folder), "--bootstrap", "20"]
    arguments += ["--encoder", "bundled", "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    assert "IDC: Pearson" in capsys.readouterr().out
    assert (tmp_path / "out/expression.html").exists()
    assert main([*arguments, "--genes", "none.json"]) == 1
    assert "none.json is no list of genes" in capsys.readouterr().err


def cut(path):
    path.write_bytes(path.read_bytes()[:200])


BAD = {
    "gene": (
        lambda f: (f / "var_50genes.json").write_text('{"genes": ["ACTB", "NONE"]}'),
        "lacks 1 of 2 genes, 'NONE'",
    ),
    "barcodes": (
        lambda f: write_h5ad(f / "adata/A.h5ad", np.ones((2, 5)), ["p", "q"]),
        "lacks 30 of 30 barcodes",
    ),
    "twice": (
        lambda f: write_h5ad(
            f / "adata/A.h5ad", np.ones((31, 5)), [f"A-{i % 30}" for i in range(31)]
        ),
        "'A-0' more than once",
    ),
    "no counts": (
        lambda f: write_h5ad(
            f / "adata/A.h5ad", np.full((30, 5), -1.0), [f"A-{i}" for i in range(30)]
        ),
        "no counts",
    ),
    "cut expression": (lambda f: cut(f / "adata/A.h5ad"), "no AnnData file"),
    "cut patches": (lambda f: cut(f / "patches/A.h5"), "no h5 file of patches"),
    "no image": (
        lambda f: h5py.File(f / "patches/A.h5", "w").close(),
        "holds no patches of HEST-bench",
    ),
    "a file away": (lambda f: (f / "adata/A.h5ad").unlink(), "does not exist"),
    "both sides": (lambda f: write_split(f, 0, ["A"], ["A"]), "A is in train_0"),
    "no columns": (
        lambda f: (f / "splits/test_0.csv").write_text("sample_id\nA\n"),
        "needs the columns",
    ),
    "no test": (lambda f: (f / "splits/test_0.csv").unlink(), "cannot be read"),
    "no splits": (lambda f: (f / "splits").rename(f / "other"), "no task of HEST"),
}


@pytest.mark.parametrize(("damage", "says"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_one_line(task, encoder, damage, says):
    folder, _ = task
    damage(folder)
    with pytest.raises(PathfmError, match=says) as caught:
        expression(expression_tasks(folder), encoder, draws=5)
    assert "\n" not in str(caught.value)
