"""`params.yaml` is read whole and checked: every slip of the pen is found before an hour of training, by its name."""

from __future__ import annotations

import pytest
import yaml

from srstudy.config import find_root, load_study
from srstudy.errors import StudyError
from srstudy.settings import Augmentation, Generator, LossWeights

PROFILES = ("smoke", "sample", "paper")


@pytest.mark.parametrize("profile", PROFILES)
def test_the_committed_params_load_under_every_profile(root, profile):
    study = load_study(profile, root)
    assert study.profile_name == profile
    assert len(study.variants) == 11
    for name in (*study.variants, *study.pretrain):
        assert study.steps(name) >= 1


def test_without_a_profile_the_one_that_the_file_names_is_taken(tiny_study):
    tiny_study.set("profile", "paper")
    assert tiny_study.load(None).profile_name == "paper"


def test_a_project_in_another_folder_is_read_from_there(tiny_study):
    tiny_study.set("seed", 7)
    study = tiny_study.load()
    assert (study.root, study.seed) == (tiny_study.root, 7)


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("profils", "profiles"),
        ("data.flat_sdt", "flat_std"),
        ("data.augmentation.rotaton", "rotation"),
        ("degradations.cctv.optic", "optics"),
        ("degradations.cctv.noise.whitte", "white"),
        ("sets.curated-5k-32.lr_sise", "lr_size"),
        ("variants.5k-32-plain.epoch", "epochs"),
        ("recipes.srgan.learning_rat", "learning_rate"),
        ("recipes.srgan.generator.filter", "filters"),
        ("recipes.srgan.loss_weights.adverserial", "adversarial"),
        ("pretrain.srgan.stepss", "steps"),
        ("pretrain.residual.generator.blocs", "blocks"),
        ("profiles.sample.epoch_scal", "epoch_scale"),
        ("profiles.sample.selections.biased.higest", "highest"),
        ("profiles.sample.recipes.srgan.generatr", "generator"),
        ("profiles.sample.recipes.srgan.generator.filtres", "filters"),
        ("profiles.sample.recipes.recommended.content.laier", "layer"),
    ],
)
def test_a_misspelt_key_is_named_with_the_nearest_known_one(tiny_study, key, nearest):
    tiny_study.set(key, 1)
    with pytest.raises(StudyError, match=f"'{key.split('.')[-1]}', did you mean '{nearest}'"):
        tiny_study.load()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("variants.5k-32-plain.set", "curated-5k-23", r"variants\.5k-32-plain\.set: 'curated-5k-23' is unknown, did"),
        ("variants.5k-32-plain.recipe", "srgam", r"variants\.5k-32-plain\.recipe: .* 'srgan'"),
        ("sets.curated-5k-32.selection", "curatd", r"sets\.curated-5k-32\.selection: .* 'curatd' .*\(curated, "),
        ("sets.curated-5k-32.images", "6k", r"sets\.curated-5k-32\.images: '6k' is unknown.*known: 5k, 10k"),
        ("profiles.sample.recipes.srgan.warm_start", "srgam", r"recipes\.srgan\.warm_start: .* 'srgan'"),
        ("profiles.sample.recipes.recomended", {}, r"profiles\.sample\.recipes: .* 'recommended'"),
    ],
)
def test_a_name_that_refers_to_nothing_is_found_while_loading(tiny_study, key, value, message):
    tiny_study.set(key, value)
    with pytest.raises(StudyError, match=message):
        tiny_study.load()


def test_a_selection_that_one_profile_lacks_matters_under_that_profile_alone(tiny_study):
    tiny_study.set("profiles.sample.selections.vivid", {"where": "contrast > 60"})
    tiny_study.set("sets.biased-5k-32.selection", "vivid")
    tiny_study.load("sample")
    with pytest.raises(
        StudyError, match=r"sets\.biased-5k-32\.selection: .* 'vivid' among profiles\.paper\.selections"
    ):
        tiny_study.load("paper")


def test_an_unknown_profile_is_named_with_the_nearest(root):
    with pytest.raises(StudyError, match=r"^profile: 'papre' is unknown, did you mean 'paper'"):
        load_study("papre", root)


def test_an_unknown_variant_is_named_with_the_nearest(study):
    for ask in (study.variant, study.recipe, study.steps, study.warm_start_path):
        with pytest.raises(StudyError, match="variants: '10k-64-plane' is unknown, did you mean '10k-64-plain'"):
            ask("10k-64-plane")


def test_the_known_names_of_a_run_include_those_that_are_no_variant(study):
    with pytest.raises(StudyError, match=r"known: 5k-32-plain, .*, recommended, srgan, residual, recommended-psnr"):
        study.recipe("nothing like it")


@pytest.mark.parametrize(
    "key",
    [
        "seed",
        "data.augmentation.shear",
        "sets.curated-5k-32.lr_size",
        "variants.recommended.epochs",
        "recipes.srgan.loss_weights",
        "recipes.srgan.discriminator.momentum",
        "profiles.sample.images",
    ],
)
def test_a_missing_key_is_named_with_its_place(tiny_study, key):
    tiny_study.drop(key)
    *place, last = key.split(".")
    with pytest.raises(StudyError, match=f"{'.'.join(place) or 'params.yaml'}: the key '{last}' is missing"):
        tiny_study.load()


def test_all_mistakes_are_named_at_once_a_line_each(tiny_study):
    tiny_study.set("data.sources.mine", {"titel": "Mine", "imagse": "*.jpg", "path": "photos"})
    tiny_study.set("recipes.srgan.flip", True)
    tiny_study.set("training.precision", "float23")
    tiny_study.set("profils", {})
    tiny_study.drop("ablation")
    with pytest.raises(StudyError) as caught:
        tiny_study.load()
    assert str(caught.value).splitlines() == [
        "params.yaml: unknown key 'profils', did you mean 'profiles'?",
        "params.yaml: the key 'ablation' is missing.",
        "data.sources.mine: unknown key 'titel', did you mean 'title'?",
        "data.sources.mine: unknown key 'imagse', did you mean 'images'?",
        "data.sources.mine: the keys 'title', 'licence', 'images', 'native' are missing.",
        "training.precision: 'float23' is unknown, did you mean 'float32'?; known: auto, float32, mixed_float16, "
        "mixed_bfloat16.",
        "recipes.srgan: unknown key 'flip', did you mean 'flips'?",
    ]


def test_mistakes_in_the_recipes_of_any_profile_are_named_at_once(tiny_study):
    tiny_study.set("profiles.smoke.recipes.srgan.generatr", {})
    tiny_study.set("profiles.paper.recipes", {"recommended": {"batch_sise": 8, "ema": 2}})
    with pytest.raises(StudyError) as caught:
        tiny_study.load("sample")
    assert str(caught.value).splitlines() == [
        "profiles.smoke.recipes.srgan: unknown key 'generatr', did you mean 'generator'?",
        "profiles.paper.recipes.recommended: unknown key 'batch_sise', did you mean 'batch_size'?",
        "profiles.paper.recipes.recommended.ema: expected a number from 0 to 1, found 2.",
    ]


def test_mistakes_in_a_list_and_in_the_arms_of_the_ablation_are_named_at_once(tiny_study):
    tiny_study.set("released.recommended-psnr.scales", [0, 1.0, "half"])
    with pytest.raises(StudyError) as caught:
        tiny_study.load()
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == [
        f"released.recommended-psnr.scales[{place}]" for place in (0, 2)
    ]
    tiny_study.set("released.recommended-psnr.scales", [1.0])
    tiny_study.set("ablation.changes.batch 1", {"batch_sise": 1})
    tiny_study.set("ablation.changes.batch 16", {"batch_size": 0})
    with pytest.raises(StudyError) as caught:
        tiny_study.load()
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == [
        "ablation.changes.batch 1", "ablation.changes.batch 16.batch_size",
    ]  # fmt: skip


def test_a_profile_s_own_values_reach_a_recipe_whose_name_yaml_reads_as_a_number(tiny_study):
    tiny_study.set("recipes", {**tiny_study.params["recipes"], 5: tiny_study.params["recipes"]["srgan"]})
    tiny_study.set("profiles.sample.recipes", {**tiny_study.params["profiles"]["sample"]["recipes"], 5: {"ema": 0.25}})
    assert tiny_study.load().recipes["5"].ema == 0.25


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("seed", "2023", "int"),
        ("seed", [1], "int"),
        ("recipes.srgan.batch_size", True, "int"),
        ("recipes.srgan.batch_size", 1.5, "int"),
        ("recipes.srgan.generator.momentum", "0.5", "float"),
        ("recipes.srgan.ema", False, "float"),
        ("recipes.srgan.flips", 1, "bool"),
        ("recipes.srgan.crop", "24", "int"),
        ("data.flat_std", "8.0", "float"),
        ("profiles.sample.images.5k", 24.5, "int"),
        ("sets.biased-5k-32.selection", 1, "str"),
        ("variants.5k-32-plain.epochs", None, "float"),
    ],
)
def test_a_value_of_the_wrong_type_is_named(tiny_study, key, value, expected):
    tiny_study.set(key, value)
    place = key.replace(".", r"\.")
    with pytest.raises(StudyError, match=f"^{place}: expected {expected}, found "):
        tiny_study.load()


def test_a_rate_that_yaml_takes_for_text_is_refused(tiny_study):
    tiny_study.set("recipes.srgan.learning_rate", yaml.safe_load("2e-4"))  # YAML 1.1 wants a dot: 2.0e-4
    with pytest.raises(StudyError, match=r"recipes\.srgan\.learning_rate: expected float, found '2e-4'"):
        tiny_study.load()


def test_whole_numbers_may_stand_for_floats(tiny_study):
    tiny_study.set("data.flat_std", 8)
    assert isinstance(tiny_study.load().data.flat_std, float)


@pytest.mark.parametrize("section", ["data", "sets", "variants", "recipes", "pretrain", "profiles"])
@pytest.mark.parametrize("value", [None, ["a"], "text"], ids=str)
def test_a_section_that_is_no_mapping_is_named(tiny_study, section, value):
    tiny_study.set(section, value)
    with pytest.raises(StudyError, match=section):
        tiny_study.load()


@pytest.mark.parametrize("key", ["recipes.srgan", "profiles.sample.recipes.srgan", "sets.curated-5k-32"])
def test_an_entry_that_is_no_mapping_is_named(tiny_study, key):
    tiny_study.set(key, None)  # what YAML makes of `srgan:` with nothing behind it
    with pytest.raises(StudyError, match=key.split(".")[0]):
        tiny_study.load()


@pytest.mark.parametrize("text", ["a: [1", "a: b: c", "\tseed: 1"])
def test_a_file_that_is_no_yaml_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(StudyError, match=r"params\.yaml: not valid YAML") as caught:
        load_study(None, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[1, 2]", "hello"])
def test_a_file_without_keys_is_refused(tmp_path, text):
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(StudyError, match=r"params\.yaml: expected keys and values"):
        load_study(None, tmp_path)


def test_a_warm_start_of_another_network_is_refused(tiny_study):
    tiny_study.set("profiles.sample.recipes.srgan.generator.filters", 48)
    with pytest.raises(StudyError, match=r"pretrain\.srgan\.generator: differs from recipes\.srgan\.generator"):
        tiny_study.load("sample")


def test_a_profile_overrides_single_values_and_leaves_the_rest(root):
    paper, sample = (load_study(name, root).recipes["srgan"] for name in ("paper", "sample"))
    assert (sample.generator.filters, paper.generator.filters) == (32, 64)
    assert sample.generator.momentum == paper.generator.momentum
    assert sample.loss_weights == paper.loss_weights


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("5k-32-plain", 5000 * 20),
        ("5k-64-augmented", 5000 * 20),
        ("10k-64-plain", 10000 * 20),
        ("5k-32-biased", 5000 * 10),
        ("10k-32-mirflickr", 10000 * 40),
        ("recommended", 10000 * 20 * 4 // 16),
    ],
)
def test_the_paper_profile_makes_as_many_updates_as_the_paper(root, name, steps):
    assert load_study("paper", root).steps(name) == steps


def test_a_profile_scales_epochs_and_images(tiny_study):
    tiny_study.set("profiles.sample.images.5k", 24)
    tiny_study.set("profiles.sample.epoch_scale", 0.1)
    assert tiny_study.load().steps("5k-32-plain") == 48  # 24 images, 2 epochs, batches of 1


def test_a_broken_step_counts_as_a_whole_one(tiny_study):
    tiny_study.set("recipes.srgan.batch_size", 5)
    tiny_study.set("profiles.sample.images.5k", 24)
    tiny_study.set("profiles.sample.epoch_scale", 0.05)
    assert tiny_study.load().steps("5k-32-plain") == 5  # 24 / 5 = 4.8


def test_a_snapshot_is_taken_after_its_share_of_the_steps(root):
    study = load_study("paper", root)
    assert study.snapshot_step("5k-32-plain") == study.steps("5k-32-plain") // 2 == 50_000
    assert study.snapshot_name("5k-32-plain") == "5k-32-plain after 10 epochs"
    assert study.snapshot_step("10k-64-plain") is None
    assert study.snapshot_step("residual") is None


def test_the_paper_profile_holds_the_numbers_of_the_paper(root):
    study = load_study("paper", root)
    recipe = study.recipes["srgan"]
    assert study.profile.images == {"5k": 5000, "10k": 10000}
    assert study.profile.epoch_scale == 1
    assert {tiles.lr_size for tiles in study.sets.values()} == {32, 64}
    epochs = {name: variant.epochs for name, variant in study.variants.items()}
    assert (epochs.pop("5k-32-biased"), epochs.pop("10k-32-mirflickr")) == (10, 40)
    assert set(epochs.values()) == {20}
    assert (recipe.batch_size, recipe.learning_rate, recipe.schedule) == (1, 2e-4, "constant")
    assert isinstance(recipe.generator, Generator)
    assert (recipe.generator.kind, recipe.generator.blocks, recipe.generator.momentum) == ("srgan", 16, 0.5)
    assert recipe.discriminator.momentum == 0.5
    assert recipe.loss_weights == LossWeights(content=1, adversarial=1e-3, pixel=0)
    assert (recipe.content.network, recipe.ema, recipe.flips, recipe.crop) == ("vgg19", 0, False, None)
    assert all(study.warm_start_path(name) is None for name in study.variants)


def test_the_paper_s_eight_configurations_differ_in_three_factors_only(root):
    study = load_study("paper", root)
    for images in ("5k", "10k"):
        for size in (32, 64):
            for kind in ("plain", "augmented"):
                variant = study.variant(f"{images}-{size}-{kind}")
                tiles = study.sets[variant.set]
                assert (tiles.images, tiles.lr_size, tiles.augment) == (images, size, kind == "augmented")
                assert (tiles.selection, variant.recipe, variant.epochs) == ("curated", "srgan", 20)


@pytest.mark.parametrize("profile", PROFILES)
def test_10k_means_twice_as_many_images_as_5k_in_every_profile(root, profile):
    images = load_study(profile, root).profile.images
    assert images["10k"] == 2 * images["5k"]


def test_short_profiles_start_from_the_committed_warm_starts(study):
    pretrained = study.root / "models" / "pretrained"
    assert study.warm_start_path("5k-32-plain") == pretrained / "srgan" / "generator.keras"
    assert study.warm_start_path("recommended") == pretrained / "residual" / "generator.keras"


def test_a_warm_start_that_is_not_there_is_named_with_the_command_that_trains_it(tiny_study):
    study = tiny_study.load()
    with pytest.raises(StudyError, match=r"^srgan: not trained yet; run `dvc repro pretrain@srgan`"):
        study.warm_start_path("5k-32-plain")
    command = "python notebooks/run.py 03_train --name released-recommended-psnr -p variant recommended-psnr"
    with pytest.raises(StudyError, match=f"^recommended-psnr: not trained yet; run `{command}`"):
        study.warm_start_path("recommended-gan")


def test_titles_name_the_profile_s_images_for_runs_that_were_trained_on_them_alone(study):
    assert study.note_on("5k-32-plain") == study.note
    assert study.note_on("srgan") == study.note_on("recommended-gan") == "all training photographs of data/sample"


def test_no_degradation_may_take_the_name_of_the_paper_s(tiny_study):
    tiny_study.set("degradations.bicubic", tiny_study.params["degradations"]["cctv"])
    with pytest.raises(StudyError, match=r"degradations\.bicubic: .* rename"):
        tiny_study.load()


def test_a_recipe_s_camera_is_the_degradation_that_it_names(study):
    assert study.camera(study.recipe("recommended-cctv")) == study.degradations["cctv"]
    assert all(study.camera(study.recipe(name)) is None for name in study.variants)


def test_photographs_must_hold_the_largest_tile_of_any_set(study):
    assert study.largest_lr_size == 64


def test_augmentation_is_read_as_it_stands(tiny_study):
    tiny_study.set("data.augmentation", {"rotation": 1, "shear": 2.5, "translation": 0})
    assert tiny_study.load().data.augmentation == Augmentation(rotation=1.0, shear=2.5, translation=0.0)


def test_the_root_is_found_from_the_notebooks(root, monkeypatch):
    monkeypatch.chdir(root / "notebooks")
    assert find_root() == root
    assert find_root(root / "data" / "sample" / "photos") == root
    assert load_study("smoke").root == root


def test_elsewhere_the_missing_root_is_said_in_a_sentence(tmp_path):
    with pytest.raises(StudyError, match=r"no params\.yaml here or above; run inside the project's folder\.$"):
        find_root(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("recipes.srgan.batch_size", 0, r"recipes\.srgan\.batch_size: expected a number above 0, found 0"),
        ("variants.5k-32-plain.epochs", -1, r"epochs: expected a number above 0"),
        ("recipes.srgan.learning_rate", float("nan"), r"learning_rate: expected a "),
        ("seed", -1, r"^seed: expected a number of at least 0, found -1"),
        ("recipes.srgan.loss_weights.content", -1.0, r"srgan\.loss_weights\.content: expected a number of at least 0"),
        ("pretrain.residual.loss_weights.pixel", -0.5, r"residual\.loss_weights\.pixel: expected a number of at least"),
        (
            "ablation.changes.no content loss.loss_weights.content",
            -1.0,
            r"no content loss\.loss_weights\.content: expected a number of at least 0",
        ),
        ("recipes.srgan.schedule", "cosin", r"'cosin' is unknown, did you mean 'cosine'"),
        ("recipes.srgan.content.network", "vgg18", r"'vgg18' is unknown, did you mean 'vgg19'"),
        ("recipes.srgan.degradation", "cctw", r"recipes\.srgan\.degradation: 'cctw' is unknown, did you mean 'cctv'"),
        ("ablation.changes.batch 1", {"degradation": "cct"}, r"batch 1\.degradation: 'cct' is unknown, did you"),
        ("degradations.cctv.jpeg.quality", [90, 40], r"quality: expected two numbers from 1 to 100, the lower first"),
        ("degradations.cctv.jpeg.quality", [0, 40], r"cctv\.jpeg\.quality: expected two numbers from 1 to 100"),
        ("degradations.cctv.h264.quantiser", [20, 52], r"cctv\.h264\.quantiser: expected two numbers from 0 to 51"),
        ("degradations.cctv.motion.length", [-1, 2], r"cctv\.motion\.length: expected two numbers from 0, the lower"),
        ("degradations.cctv.motion.length", [1, 2, 3], r"cctv\.motion\.length: expected two numbers"),
        ("degradations.cctv.motion.length", 3, r"cctv\.motion\.length: expected two numbers from 0, .* found 3"),
        ("degradations.cctv.optics.sigma", [0, 1], r"cctv\.optics\.sigma: expected two numbers from 0\.1"),
        ("degradations.cctv.noise.probability", 1.1, r"noise\.probability: expected a number from 0 to 1"),
        ("degradations.cctv.downscaling.kernels", ["bix"], r"kernels\[0\]: 'bix' is unknown, did you mean 'box'"),
        ("degradations.cctv.downscaling.kernels", [], r"downscaling\.kernels: expected a list of at least one"),
        ("profiles.sample.recipes.srgan.batchsize", 2, r"profiles\.sample\.recipes\.srgan: unknown key 'batchsize'"),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_place(tiny_study, key, value, named):
    tiny_study.set(key, value)
    with pytest.raises(StudyError, match=named):
        tiny_study.load()


@pytest.mark.parametrize("name", ["checkpoints", "live", "released", "residual"])
def test_a_variant_whose_folder_is_taken_is_refused(tiny_study, name):
    tiny_study.set(f"variants.{name}", {"set": "curated-5k-32", "recipe": "srgan", "epochs": 1})
    with pytest.raises(StudyError, match=f"the name '{name}' is taken"):
        tiny_study.load()


def test_a_warm_start_without_steps_is_refused(tiny_study):
    tiny_study.drop("pretrain.srgan.steps")
    with pytest.raises(StudyError, match="'steps' is missing"):
        tiny_study.load()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("variants.5k-32-plain.snapshot", 30, r"variants\.5k-32-plain\.snapshot: .* at most 20"),
        ("recipes.srgan.scales", [1.0, 0.5], r"^recipes\.srgan\.scales: means nothing where the tiles are"),
        ("profiles.sample.recipes.srgan.scales", [0.5], r"^recipes\.srgan\.scales: means nothing"),
        ("ablation.changes.batch 1", {"scales": [0.5]}, r"^ablation\.changes\.batch 1\.scales: means nothing"),
        ("released.recommended-psnr.scales", [0.5, 0], r"psnr\.scales\[1\]: expected a number above 0"),
        ("recipes.srgan.ema", 1.5, r"recipes\.srgan\.ema: expected a number from 0 to 1"),
        (
            "profiles.sample.selections.curated.share",
            0.5,
            r"profiles\.sample\.selections\.curated\.share: .* without 'highest'",
        ),
        ("profiles.sample.selections.biased.share", 20, r"selections\.biased\.share: expected a number from 0 to 1"),
        ("recipes.srgan.content", None, r"recipes\.srgan: loss_weights\.content is not 0, but .* 'content'"),
        (
            "pretrain.srgan.loss_weights",
            {"content": 0.0, "adversarial": 0.0, "pixel": 0.0},
            r"pretrain\.srgan\.loss_weights: all are 0",
        ),
    ],
)
def test_settings_that_would_fail_hours_later_are_refused_at_once(tiny_study, key, value, message):
    tiny_study.set(key, value)
    if key == "recipes.srgan.content":
        for profile in tiny_study.params["profiles"].values():
            profile["recipes"]["srgan"].pop("content", None)
    with pytest.raises(StudyError, match=message):
        tiny_study.load()


@pytest.mark.parametrize(
    ("key", "crop", "message"),
    [
        ("recipes.recommended", 65, r"recipes\.recommended\.crop: 65 is larger than its LR tiles; choose at most 64"),
        ("recipes.srgan", 33, r"recipes\.srgan\.crop: 33 is larger than its LR tiles; choose at most 32"),
        ("profiles.sample.recipes.srgan", 40, r"recipes\.srgan\.crop: 40 is larger"),
        ("pretrain.residual", 65, r"pretrain\.residual\.crop: 65 is larger than its LR tiles; choose at most 64"),
        ("released.recommended-gan", 65, r"released\.recommended-gan\.crop: 65 is larger"),
        ("ablation.changes.batch 1", 65, r"ablation\.changes\.batch 1\.crop: 65 is larger"),
    ],
)
def test_a_crop_that_is_larger_than_its_tiles_is_refused_at_once(tiny_study, key, crop, message):
    tiny_study.set(f"{key}.crop", crop)
    with pytest.raises(StudyError, match=message):
        tiny_study.load()
    tiny_study.set(f"{key}.crop", crop // 8)
    tiny_study.load()


def test_a_seed_of_0_and_a_weight_of_0_are_fine(tiny_study):
    tiny_study.set("seed", 0)
    assert tiny_study.load().seed == 0


def test_titles_say_the_profile_and_what_its_names_of_counts_mean(tiny_study):
    tiny_study.set("profiles.sample.images.5k", 30)
    assert tiny_study.load().note == "sample profile: 5k = 30, 10k = 48 images"
    assert tiny_study.load("paper").note == "paper profile: 5k = 5,000, 10k = 10,000 images"
