"""`params.yaml` is read whole and checked: every slip of the pen is found before an hour of training, by its name."""

import shutil

import pytest

from srstudy import StudyError
from srstudy.parsing import merge
from srstudy.settings import Augmentation, LossWeights
from srstudy.study import find_root, load_study

PROFILES = ("smoke", "sample", "paper")


@pytest.mark.parametrize("profile", PROFILES)
def test_the_committed_params_load_under_every_profile(root, profile):
    study = load_study(profile, root)
    assert study.profile_name == profile
    assert len(study.variants) == 11
    assert all(run.steps >= 1 for run in study.runs.values())
    assert study.profile.images["paper-10k"] == 2 * study.profile.images["paper-5k"]


def test_without_a_profile_the_one_that_the_file_names_is_taken(tiny_study):
    tiny_study.set("profile", "paper")
    assert tiny_study.load(None).profile_name == "paper"


def test_a_project_in_another_folder_is_read_from_there(tiny_study):
    tiny_study.set("seed", 7)
    study = tiny_study.load()
    assert (study.root, study.seed) == (tiny_study.root, 7)


def test_the_root_is_found_from_the_notebooks_and_its_absence_is_said(root, tmp_path, monkeypatch):
    monkeypatch.chdir(root / "notebooks")
    assert find_root() == find_root(root / "data" / "sample" / "photos") == load_study("smoke").root == root
    with pytest.raises(StudyError, match=r"no params\.yaml here or above; run inside the project's folder\.$"):
        find_root(tmp_path)


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("profils", "profiles"),
        ("data.flat_sdt", "flat_std"),
        ("degradations.cctv.noise.whitte", "white"),
        ("recipes.srgan.loss_weights.adverserial", "adversarial"),
        ("profiles.sample.selections.biased.higest", "highest"),
        ("profiles.sample.recipes.recommended.content.laier", "layer"),
    ],
)
def test_a_misspelt_key_is_named_with_the_nearest_known_one(tiny_study, key, nearest):
    tiny_study.set(key, 1)
    with pytest.raises(StudyError, match=f"'{key.split('.')[-1]}', did you mean '{nearest}'"):
        tiny_study.load()


def test_a_selection_that_one_profile_lacks_matters_under_that_profile_alone(tiny_study):
    tiny_study.set("profiles.sample.selections.vivid", {"where": "contrast > 60"})
    tiny_study.set("sets.biased-5k-32.selection", "vivid")
    tiny_study.load("sample")
    with pytest.raises(StudyError, match=r"sets\.biased-5k-32\.selection: .* 'vivid' among profiles\.paper\.select"):
        tiny_study.load("paper")


def test_unknown_profiles_and_runs_are_named_with_the_nearest_and_all_known(root, study):
    with pytest.raises(StudyError, match=r"^profile: 'papre' is unknown, did you mean 'paper'"):
        load_study("papre", root)
    with pytest.raises(StudyError, match="'srgan-10k-64-plane' is unknown, did you mean 'srgan-10k-64-plain'"):
        study.run("srgan-10k-64-plane")
    with pytest.raises(
        StudyError, match=r"known: srgan-5k-32-plain, .*, recommended, srgan, residual, recommended-psnr"
    ):
        study.run("nothing like it")


@pytest.mark.parametrize(
    "key", ["seed", "data.augmentation.shear", "recipes.srgan.loss_weights", "pretrain.srgan.steps"]
)
def test_a_missing_key_is_named_with_its_place(tiny_study, key):
    tiny_study.drop(key)
    *place, last = key.split(".")
    with pytest.raises(StudyError, match=f"{'.'.join(place) or 'params.yaml'}: the key '{last}' is missing"):
        tiny_study.load()


def test_all_mistakes_are_named_at_once_a_line_each(tiny_study):
    tiny_study.set("data.sources.mine", {"titel": "Mine", "images": "*.jpg", "native": "large", "licence": "mine"})
    tiny_study.set("recipes.srgan.flip", True)
    tiny_study.set("training.precision", "float23")
    tiny_study.set("released.recommended-psnr.scales", [1.0, 0, "half"])
    tiny_study.set("profils", {})
    tiny_study.params[2026] = 1
    tiny_study.drop("ablation")
    with pytest.raises(StudyError) as caught:
        tiny_study.load()
    lines = str(caught.value).splitlines()
    assert sorted(line.partition(":")[0] for line in lines) == [
        "data.sources.mine", "data.sources.mine", "params.yaml", "params.yaml", "params.yaml", "recipes.srgan",
        "released.recommended-psnr.scales.1", "released.recommended-psnr.scales.2", "training.precision",
    ]  # fmt: skip
    assert "recipes.srgan: unknown key 'flip', did you mean 'flips'?" in lines


def test_mistakes_in_the_recipes_of_any_profile_are_found_under_each(tiny_study):
    tiny_study.set("profiles.paper.recipes", {"recommended": {"batch_sise": 8, "ema": 2}})
    with pytest.raises(StudyError) as caught:
        tiny_study.load("sample")
    places = [line.partition(":")[0] for line in str(caught.value).splitlines()]
    assert places == ["profiles.paper.recipes.recommended.ema", "profiles.paper.recipes.recommended"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", -1),
        ("recipes.srgan.batch_size", True),
        ("recipes.srgan.batch_size", 0),
        ("recipes.srgan.flips", 1),
        ("recipes.srgan.learning_rate", float("nan")),
        ("recipes.srgan.loss_weights.content", -1.0),
        ("recipes.srgan.schedule", "cosin"),
        ("profiles.sample.images.paper-5k", 24.5),
        ("profiles.sample.selections.biased.share", 20),
        ("variants.srgan-5k-32-plain.epochs", None),
        ("variants.srgan-5k-32-plain.epochs", -1),
        ("degradations.cctv.jpeg.quality", [90, 40]),
        ("degradations.cctv.h264.quantiser", [20, 52]),
        ("degradations.cctv.motion.length", [1, 2, 3]),
        ("degradations.cctv.optics.sigma", [0, 1]),
        ("degradations.cctv.noise.probability", 1.1),
        ("recipes.srgan", None),  # what YAML makes of `srgan:` with nothing behind it
        ("profiles", "text"),
    ],
)
def test_a_value_of_the_wrong_type_or_out_of_range_is_named_with_its_place(tiny_study, key, value):
    tiny_study.set(key, value)
    with pytest.raises(StudyError) as caught:
        tiny_study.load()
    assert all(line.startswith(key) and " should " in line for line in str(caught.value).splitlines())


def test_whole_numbers_may_stand_for_floats_and_seeds_and_weights_may_be_0(tiny_study):
    tiny_study.set("data.flat_std", 8)
    tiny_study.set("data.augmentation", {"rotation": 1, "shear": 2.5, "translation": 0})
    tiny_study.set("seed", 0)
    study = tiny_study.load()
    assert isinstance(study.data.flat_std, float)
    assert study.data.augmentation == Augmentation(rotation=1.0, shear=2.5, translation=0.0)


@pytest.mark.parametrize("written", ["0.00004", "4e-05", "4.0e-5", "4E-5"])
def test_a_number_may_be_written_as_dvc_and_people_write_it(tiny_study, written):
    tiny_study.set("recipes.srgan.learning_rate", 0.25)
    tiny_study.load()
    path = tiny_study.root / "params.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("0.25", written), encoding="utf-8")
    assert load_study("sample", tiny_study.root).recipes["srgan"].learning_rate == 4e-5


def test_the_code_of_another_project_is_not_taken_for_its_own(root, tiny_study):
    tiny_study.load()
    shutil.copytree(root / "src" / "srstudy" / "degrade", tiny_study.root / "src" / "srstudy" / "degrade")
    with pytest.raises(StudyError, match=f"srstudy: is not the code of {tiny_study.root}; activate the .venv there"):
        load_study("sample", tiny_study.root)


@pytest.mark.parametrize("text", ["a: [1", "a: b: c", "\tseed: 1", "", "[1, 2]", "hello", "a: 1\na: 2", "a: \7"])
def test_a_file_that_holds_no_keys_and_values_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(StudyError, match=r"^params\.yaml(, line \d)?: ") as caught:
        load_study(None, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "variants.srgan-5k-32-plain.set",
            "curated-5k-23",
            r"variants\.srgan-5k-32-plain\.set: 'curated-5k-23' is unknown, did",
        ),
        ("variants.srgan-5k-32-plain.recipe", "srgam", r"variants\.srgan-5k-32-plain\.recipe: .* 'srgan'"),
        ("sets.curated-5k-32.selection", "curatd", r"sets\.curated-5k-32\.selection: .* 'curatd' .*\(curated, "),
        (
            "sets.curated-5k-32.images",
            "6k",
            r"sets\.curated-5k-32\.images: '6k' is unknown.*known: paper-5k, paper-10k",
        ),
        ("profiles.sample.sources", ["sampel"], r"profiles\.sample\.sources: 'sampel' is unknown, did you mean"),
        ("profiles.sample.recipes.srgan.warm_start", "srgam", r"recipes\.srgan\.warm_start: .* 'srgan'"),
        ("profiles.sample.recipes.recomended", {}, r"profiles\.sample\.recipes: .* 'recommended'"),
        ("recipes.srgan.degradation", "cctw", r"recipes\.srgan\.degradation: 'cctw' is unknown, did you mean 'cctv'"),
        ("ablation.variant", "recomended", r"ablation\.variant: 'recomended' is unknown, did you mean 'recommended'"),
        ("ablation.changes.batch 1", {"degradation": "cct"}, r"batch 1\.degradation: 'cct' is unknown, did you"),
        (
            "variants.srgan-5k-32-plain.snapshot",
            30,
            r"variants\.srgan-5k-32-plain: `snapshot` comes after .* at most 20",
        ),
        ("recipes.srgan.scales", [1.0, 0.5], r"^recipes\.srgan\.scales: means nothing where the tiles are"),
        ("profiles.sample.recipes.srgan.scales", [0.5], r"^recipes\.srgan\.scales: means nothing"),
        ("ablation.changes.batch 1", {"scales": [0.5]}, r"^ablation\.changes\.batch 1\.scales: means nothing"),
        ("recipes.srgan.photographs", ["street"], r"^recipes\.srgan\.photographs: means nothing where the tiles are"),
        ("pretrain.srgan.photographs", ["strete"], r"^pretrain\.srgan\.photographs: 'strete' is unknown, did you mean"),
        ("released.gan.photographs", ["ffhq"], r"gan\.photographs: .ffhq. has no list of its splits"),
        ("profiles.sample.selections.curated.share", 0.5, r"selections\.curated: `share` .* without `highest`"),
        ("recipes.recommended.content", None, r"recommended: loss_weights\.content is not 0, but .* 'content' is"),
        ("pretrain.srgan.loss_weights.pixel", 0.0, r"pretrain\.srgan: all `loss_weights` are 0"),
        ("profiles.sample.recipes.srgan.generator.filters", 48, r"pretrain\.srgan\.generator: differs from recipes"),
        ("data.sources.sample.path", None, r"data\.sources\.sample: has neither `kaggle` nor `path`"),
        ("data.sources.street.git", "owner/name", r"data\.sources\.street: `git` and `commit` go together; give both"),
        ("recipes.recommended.crop", 65, r"recipes\.recommended\.crop: 65 is larger than its LR tiles; .* at most 64"),
        ("recipes.srgan.crop", 33, r"recipes\.srgan\.crop: 33 is larger than its LR tiles; choose at most 32"),
        ("released.gan.crop", 65, r"released\.gan\.crop: 65 is larger"),
        ("ablation.changes.batch 1.crop", 65, r"ablation\.changes\.batch 1\.crop: 65 is larger"),
    ],
)
def test_settings_that_would_fail_hours_later_are_refused_at_once(tiny_study, key, value, message):
    tiny_study.set(key, value)
    if key == "recipes.recommended.content":
        for profile in tiny_study.params["profiles"].values():
            profile["recipes"].get("recommended", {}).pop("content", None)
    with pytest.raises(StudyError, match=message):
        tiny_study.load()


SECTIONS = ("variants", "pretrain", "released", "sets", "recipes", "data.sources", "degradations", "profiles")


@pytest.mark.parametrize(
    ("section", "name"), zip(SECTIONS, ("my vivid", "vivid.2", "2026", 2026, "vivid;touch x", "vivid\n", "-f", "größe"))
)
def test_a_name_that_commands_can_t_bear_is_refused(tiny_study, section, name):
    entries = tiny_study._section(section.split("."))
    entries[name] = next(iter(entries.values()))
    with pytest.raises(StudyError) as caught:
        tiny_study.load()
    rule = "a name should be letters, digits, _ and single -, the first a letter, as it becomes part of commands"
    assert str(caught.value) == f"{section}.{name}: {rule}."


@pytest.mark.parametrize("name", ["checkpoints", "pretrained", "released", "residual"])
def test_a_name_that_is_taken_is_refused(tiny_study, name):
    tiny_study.set("degradations.bicubic", tiny_study.params["degradations"]["cctv"])
    with pytest.raises(StudyError, match=r"degradations\.bicubic: .* rename"):
        tiny_study.load()
    tiny_study.drop("degradations.bicubic")
    tiny_study.set(f"variants.{name}", {"set": "curated-5k-32", "recipe": "srgan", "epochs": 1})
    with pytest.raises(StudyError, match=f"the name '{name}' is taken"):
        tiny_study.load()


def test_a_profile_overrides_single_values_and_leaves_the_rest(root):
    paper, sample = (load_study(name, root).recipes["srgan"] for name in ("paper", "sample"))
    assert (sample.generator.filters, paper.generator.filters) == (32, 64)
    assert sample.generator.momentum == paper.generator.momentum
    assert sample.loss_weights == paper.loss_weights


def test_a_profile_that_extends_another_one_says_the_rest_alone(tiny_study):
    tiny_study.set("data.sources.mine", {**tiny_study.params["data"]["sources"]["mirflickr"], "path": "mine"})
    own = {"vivid": {"where": "contrast > 40"}, "biased": {"share": 0.5}}
    extended = {"extends": "sample", "sources": ["sample", "mine"], "epoch_scale": 0.2, "selections": own}
    tiny_study.set("profiles.mine", extended)
    sample, mine = tiny_study.load("sample"), tiny_study.load("mine")
    assert (mine.recipes, mine.profile.images) == (sample.recipes, sample.profile.images)
    assert (mine.profile.sources, mine.kept_sources, mine.profile.epoch_scale) == (("sample", "mine"), ("sample",), 0.2)
    kept = "data_source in ['sample']"
    assert {name: one.where for name, one in mine.profile.selections.items()} == {
        "curated": f"{kept} and (contrast > 20)", "biased": kept, "mirflickr": kept, "vivid": "contrast > 40"
    }  # fmt: skip
    assert (mine.profile.selections["biased"].highest, mine.profile.selections["biased"].share) == ("mean_b", 0.5)
    assert sample.kept_sources == ()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("profiles.mine.extends", "sampel", r"^profiles\.mine\.extends: 'sampel' is unknown, did you mean 'sample'"),
        ("profiles.mine.extends", "mine", r"^profiles\.mine\.extends: 'mine' extends a profile itself; name one"),
        ("profiles.mine.image", {}, r"^profiles\.mine: unknown key 'image', did you mean 'images'"),
        ("profiles.sample.sources", "sample", r"^profiles\.sample\.sources: should be a valid tuple"),
        ("profiles.sample", None, r"^profiles\.sample: should be a valid dictionary"),
        (
            "variants.a-seed2",
            {"set": "biased-5k-32", "recipe": "srgan", "epochs": 1},
            r"^variants\.a-seed2: names",
        ),
    ],
)
def test_what_is_wrong_with_extending_is_named_with_its_place(tiny_study, key, value, message):
    tiny_study.set("profiles.mine", {"extends": "sample"})
    tiny_study.set(key, value)
    with pytest.raises(StudyError, match=message):
        tiny_study.load("paper")


def test_profile_tenth_holds_a_tenth_of_the_paper_from_scratch_under_several_seeds(root):
    tenth, paper = load_study("tenth", root), load_study("paper", root)
    assert tenth.profile.epoch_scale == 1
    assert {name: 10 * count for name, count in tenth.profile.images.items()} == paper.profile.images
    for name, variant in paper.variants.items():
        if name != "recommended":
            seeds = [tenth.run(one) for one in (name, f"{name}-seed2", f"{name}-seed3")]
            assert [run.seed - tenth.seed for run in seeds] == [0, 1, 2]
            assert {10 * run.steps for run in seeds} == {paper.run(name).steps}
            assert {run.recipe for run in seeds} == {tenth.recipes[variant.recipe]}
            assert seeds[0].warm_start is None
    assert "recommended" not in tenth.runs and "srresnet-5k-32-seed3" not in tenth.runs
    begins_with = tenth.run("esrgan-5k-32-seed2").warm_start
    assert (begins_with.name, begins_with.folder) == ("rrdb-5k-32-seed2", root / "models/tenth/rrdb-5k-32-seed2")
    assert (tenth.folder("reports"), paper.folder("reports")) == (root / "reports" / "tenth", root / "reports")


def test_a_recipe_that_extends_another_one_says_the_rest_alone(root, tiny_study):
    study = load_study("tenth", root)
    srgan, bare = study.recipes["srgan"], study.recipes["srgan-nonorm"]
    assert (bare.generator.momentum, bare.discriminator.momentum) == (None, None)
    assert bare.model_copy(update={"generator": srgan.generator, "discriminator": srgan.discriminator}) == srgan
    assert study.recipes["srgan-l1"].loss_weights.model_dump() == {**srgan.loss_weights.model_dump(), "pixel": 0.01}
    tiny_study.set("recipes.srgan-l1.extends", "srgen")
    with pytest.raises(StudyError, match=r"^recipes\.srgan-l1\.extends: 'srgen' is unknown, did you mean 'srgan'"):
        tiny_study.load("tenth")


def test_merging_goes_level_by_level_and_changes_neither():
    base, override = {"a": {"x": 1, "y": 2}, "b": 3}, {"a": {"y": None}, "c": {"z": 4}}
    assert merge(base, override) == {"a": {"x": 1, "y": None}, "b": 3, "c": {"z": 4}}
    assert base == {"a": {"x": 1, "y": 2}, "b": 3}


@pytest.mark.parametrize(
    ("name", "steps"),
    [("srgan-5k-32-plain", 5000 * 20), ("srgan-10k-64-plain", 10000 * 20), ("srgan-5k-32-biased", 5000 * 10),
     ("srgan-10k-32-mirflickr", 10000 * 40), ("recommended", 10000 * 20 * 4 // 16)],
)  # fmt: skip
def test_the_paper_profile_makes_as_many_updates_as_the_paper(root, name, steps):
    assert load_study("paper", root).run(name).steps == steps


def test_a_profile_scales_epochs_and_images_and_a_broken_step_counts_as_a_whole_one(tiny_study):
    tiny_study.set("profiles.sample.images.paper-5k", 24)
    run = tiny_study.load().run("srgan-5k-32-plain")
    assert (run.steps, run.epoch_steps) == (48, 24)  # 24 images, 2 epochs, batches of 1
    tiny_study.set("recipes.srgan.batch_size", 5)
    run = tiny_study.load().run("srgan-5k-32-plain")
    assert (run.steps, run.epoch_steps) == (10, 5)  # 9.6 and 4.8
    tiny_study.set("recipes.srgan.batch_size", 1)
    tiny_study.set("profiles.sample.images.paper-5k", 30)
    tiny_study.set("variants.srgan-5k-32-augmented.epochs", 7)
    assert tiny_study.load().run("srgan-5k-32-augmented").steps == 21  # 30 × 7 × 0.1 is a bit more in floating point


def test_the_paper_profile_holds_the_numbers_of_the_paper(root):
    study = load_study("paper", root)
    recipe = study.recipes["srgan"]
    assert (study.profile.images, study.profile.epoch_scale) == ({"paper-5k": 5000, "paper-10k": 10000}, 1)
    assert {tiles.lr_size for tiles in study.sets.values()} == {32, 64}
    epochs = {name: variant.epochs for name, variant in study.variants.items()}
    assert (epochs.pop("srgan-5k-32-biased"), epochs.pop("srgan-10k-32-mirflickr"), set(epochs.values())) == (
        10,
        40,
        {20},
    )
    assert (recipe.batch_size, recipe.learning_rate, recipe.schedule) == (1, 2e-4, "constant")
    assert (recipe.generator.kind, recipe.generator.blocks, recipe.generator.momentum) == ("srgan", 16, 0.5)
    assert recipe.discriminator.momentum == 0.5
    assert recipe.loss_weights == LossWeights(content=1, adversarial=1e-3, pixel=0)
    assert (recipe.content.network, recipe.ema, recipe.flips, recipe.crop) == ("vgg19", 0, False, None)
    assert all(study.run(name).warm_start is None for name in study.variants)


def test_the_paper_s_eight_configurations_differ_in_three_factors_only(root):
    study = load_study("paper", root)
    for images, size, kind in ((i, s, k) for i in ("5k", "10k") for s in (32, 64) for k in ("plain", "augmented")):
        variant = study.variants[f"srgan-{images}-{size}-{kind}"]
        tiles = study.sets[variant.set]
        assert (tiles.images, tiles.lr_size, tiles.augment) == (f"paper-{images}", size, kind == "augmented")
        assert (tiles.selection, variant.recipe, variant.epochs) == ("curated", "srgan", 20)


def test_a_run_is_resolved_with_all_that_decides_it(root, study):
    plain, gan, cctv = (study.run(name) for name in ("srgan-5k-32-plain", "gan", "cctv"))
    assert (plain.kind, plain.tile_set, plain.snapshot, plain.snapshot_step) == ("variant", "curated-5k-32", 10, 24)
    assert (plain.folder, plain.checkpoints) == (
        root / "models/srgan-5k-32-plain",
        root / "models/checkpoints/srgan-5k-32-plain",
    )
    assert plain.warm_start.generator == root / "models/pretrained/srgan/generator.keras"
    assert (gan.kind, gan.tile_set, gan.warm_start.name) == ("released", None, "psnr")
    assert (plain.camera, gan.camera, cctv.camera) == (None, None, study.degradations["cctv"])
    assert load_study("paper", root).run("srgan-5k-32-plain").snapshot_step == 50_000


def test_all_that_is_judged_is_listed_in_order_and_paper_has_no_warm_starts(root, study):
    assert list(study.runs) == ["srgan", "residual", *study.variants, *study.released]
    assert list(load_study("paper", root).runs) == [*study.variants, *study.released]


@pytest.mark.parametrize("names", ["srgan, recommended", "[srgan,recommended]", "['srgan', 'recommended']"])
def test_runs_are_named_by_a_list_by_a_text_or_not_at_all(study, names):
    assert list(study.named(names)) == list(study.named(["srgan", "recommended"])) == ["srgan", "recommended"]
    assert study.named(None) == study.named([]) == study.runs
    with pytest.raises(StudyError, match="'2024' is unknown"):
        study.named(2024)  # what papermill makes of such a text


def test_what_is_not_trained_yet_is_named_with_the_command_that_trains_it(tiny_study):
    study = tiny_study.load()
    commands = {
        "srgan-5k-32-plain": "dvc repro train@srgan-5k-32-plain",
        "srgan": "dvc repro pretrain@srgan",
        "recommended-psnr": "python notebooks/run.py 03_train --name recommended-psnr -p variant recommended-psnr",
    }
    for name, command in commands.items():
        with pytest.raises(StudyError, match=f"^{name}: not trained yet; run `{command}`"):
            _ = study.run(name).generator


def test_titles_say_the_profile_and_what_its_names_of_counts_mean(tiny_study):
    tiny_study.set("profiles.sample.images.paper-5k", 30)
    study = tiny_study.load()
    assert study.note == study.run("srgan-5k-32-plain").note == "sample profile: paper-5k = 30, paper-10k = 48 images"
    assert study.run("srgan").note == study.run("recommended-psnr").note == "all training photographs of sample"
    assert study.run("srgan").label == "warm start srgan"
    assert study.largest_lr_size == 64
