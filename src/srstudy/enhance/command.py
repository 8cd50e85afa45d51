"""`srstudy enhance IN... -o OUT`, `srstudy verify RECORD`, `srstudy models`; those of a server are in `serve`."""

from __future__ import annotations

import argparse
import glob
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from srstudy import StudyError, __version__
from srstudy.enhance import CLIPS, models
from srstudy.enhance.bar import Bar
from srstudy.serve import command as serving

MODES, CODECS = ("view", "evidence"), ("h264", "ffv1")


def parser() -> argparse.ArgumentParser:
    """The command line. Flags of Real-ESRGAN are taken too: -i, -o, -n, -s, --tile, --suffix."""
    top = argparse.ArgumentParser(prog="srstudy", description=models.CAUTION)
    top.add_argument("--version", action="version", version=f"srstudy {__version__}")
    commands = top.add_subparsers(dest="command", required=True)
    one = commands.add_parser("enhance", help="enlarge photographs and clips four times", description=models.CAUTION)
    add = one.add_argument
    add("inputs", nargs="*", metavar="IN", help="files, folders, patterns")
    add("-i", "--input", action="append", default=[], metavar="IN", help="the same")
    add("-o", "--output", required=True, metavar="OUT", help="a folder, or for one input a file")
    add("-n", "--model", help=f"{', '.join(models.names())}, or an .onnx file (default {models.DEFAULT})")
    add("--mode", choices=MODES, default="view", help="evidence: float32, equal pixels in every run, lossless")
    add("-s", "--outscale", type=float, default=4, help="4, and nothing else")
    add("-t", "--tile", type=int, metavar="PX", help="side of a tile, if memory is short")
    add("--suffix", default="-x4", help="what is added to a name (%(default)s)")
    add("--ext", help="ending of photographs, such as .png (the original's; as evidence .png)")
    add("--strength", type=float, default=1.0, metavar="0..1", help="share of the network; the rest is bicubic")
    add("--denoise", type=float, nargs="?", const=6.0, default=0.0, metavar="1..30", help="first remove noise")
    add("--clahe", action="store_true", help="at last raise contrast where there is little")
    add("--no-mark", action="store_true", help="leave out the visible label that a network made this")
    add("--gps", action="store_true", help="keep where a photograph was taken")
    add("--codec", choices=CODECS, help="of clips (h264; as evidence ffv1, lossless)")
    add("--deinterlace", choices=("auto", "always", "never", "refuse"), default="auto", help="of clips")
    add("--stream", type=int, metavar="N", help="number of a clip's stream of pictures")
    add("--sign-key", metavar="KEY.pem", help="sign the output (C2PA); needs --sign-certificates")
    add("--sign-certificates", metavar="CHAIN.pem")
    two = commands.add_parser("verify", help="derive an output again from the original and compare")
    two.add_argument("records", nargs="+", metavar="RECORD", help="a .record.json, or the output that it lies beside")
    two.add_argument("--original", help="where the original is now")
    three = commands.add_parser("models", help="list the released models, or say what one of them learned from")
    three.add_argument("model", nargs="?", metavar="NAME")
    serving.add_commands(commands)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run a command; 0 if all went well, 1 if something did not, 130 if it was stopped."""
    options = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return COMMANDS[options.command](options)
    except StudyError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "stopped; the same command goes on where it was." if options.command == "enhance" else "stopped.",
            file=sys.stderr,
        )
        return 130


def _models(options: argparse.Namespace) -> int:
    if options.model:
        print(models.card(models.find_model(options.model))["learned_from"])
    for name in models.names() if not options.model else ():
        print(f"{name:8} {models.USES.get(name, 'one of yours')}{' (the default)' if name == models.DEFAULT else ''}")
    return 0


def _enhance(options: argparse.Namespace) -> int:
    settings, signer = _settings(options), _signer(options)
    pairs = [*_pairs(options, settings)]
    from srstudy.enhance.engine import Engine  # now that the command is known to be right
    from srstudy.enhance.record import notes
    from srstudy.enhance.work import enhance, sentence

    engine, failed = Engine(models.find_model(settings.model), settings.mode), 0
    print(models.CAUTION, file=sys.stderr)
    many = tqdm(pairs, unit="file", disable=len(pairs) < 10 or None)
    for source, target in many:
        try:
            with Bar(source, hidden=len(pairs) >= 10 or None) as bar:
                made = enhance(source, target, settings, engine, bar.to, signer)
            if len(pairs) < 10 or not made:
                tqdm.write(f"{target}{'' if made else ': is there already'}")
                for note in notes(target) if made else ():
                    tqdm.write(f"  {note}")
        except Exception as error:  # whatever it is, the others go on
            failed += 1
            tqdm.write(f"error: {sentence(error, source, target)}", file=sys.stderr)
    if failed and len(pairs) > 1:
        print(f"{failed} of {len(pairs)} failed.", file=sys.stderr)
    return min(failed, 1)


def _verify(options: argparse.Namespace) -> int:
    from srstudy.enhance.record import beside
    from srstudy.enhance.verify import verify
    from srstudy.enhance.work import sentence

    good = True
    for path in map(Path, options.records):
        path = record if (record := beside(path, "record.json")).is_file() else path
        try:
            with Bar(path) as bar:
                same, said = verify(path, Path(options.original) if options.original else None, bar.to)
            print(f"{path}: {said}.")
            good &= same
        except Exception as error:  # the other records are looked at all the same
            good = False
            print(f"error: {sentence(error, path, path)}", file=sys.stderr)
    return 0 if good else 1


def _settings(options: argparse.Namespace):
    from srstudy.enhance.steps import Steps
    from srstudy.enhance.work import Settings

    if options.outscale != 4:
        raise StudyError(
            f"-s {options.outscale:g}: pictures are enlarged four times and no other; reduce them afterwards."
        )
    if not 0 <= options.strength <= 1:
        raise StudyError(f"--strength {options.strength:g}: is a share; give a number from 0 to 1.")
    if options.denoise and not 1 <= options.denoise <= 30:
        raise StudyError(f"--denoise {options.denoise:g}: is too little or too much; give a number from 1 to 30.")
    if options.tile is not None and options.tile < 16:
        raise StudyError(f"--tile {options.tile}: is too small; give 16 px or more, or leave it out.")
    steps = Steps(options.denoise, options.strength, options.clahe, not options.no_mark)
    model, reading = options.model or models.DEFAULT, (options.deinterlace, options.stream)
    return Settings(model, options.mode, options.tile, options.gps, options.codec, *reading, steps)


def _signer(options: argparse.Namespace):
    if not (options.sign_key or options.sign_certificates):
        return None
    from srstudy.enhance.signing import Signer

    files = [Path(name or "") for name in (options.sign_key, options.sign_certificates)]
    if missing := [path for path in files if not path.is_file()]:
        raise StudyError(f"--sign-key, --sign-certificates: '{missing[0]}' is no file; give both.")
    return Signer(*files)


def _pairs(options: argparse.Namespace, settings) -> Iterator[tuple[Path, Path]]:
    """Each original and its output. Raises StudyError where nothing is found, or two would have one name."""
    from srstudy.enhance.work import ending_for, is_clip
    from srstudy.enhance.writing import check_container
    from srstudy.photos.images import EXTENSIONS as READ

    wanted = f".{options.ext.lower().lstrip('.')}" if options.ext else None
    sources, out = _inputs([*options.inputs, *options.input], READ | CLIPS), Path(options.output).expanduser()
    inputs, taken = {str(source.resolve()).casefold() for source in sources}, {}
    a_file = not out.is_dir() and out.suffix.lower() in READ | CLIPS
    if len(sources) == 1 and out.suffix[1:].isalpha() and not a_file and not out.is_dir():
        raise StudyError(f"{out}: '{out.suffix}' ends no photograph or clip; mend that, or make a folder of this name.")
    if a_file and len(sources) > 1:
        raise StudyError(f"{out}: is a file's name, and there are {len(sources)} inputs; name a folder.")
    for source in sources:
        if a_file:
            if is_clip(source):
                check_container(out, settings.codec)
            else:
                ending_for(source, settings, out.suffix.lower(), str(out))
            yield source, out
            continue
        ending = ending_for(source, settings, wanted, f"--ext {wanted}")
        target = out / f"{source.stem}{options.suffix}{ending}"
        if (key := str(target.resolve()).casefold()) in inputs:
            raise StudyError(f"{source}: would be written over {target}, an input; give another folder or --suffix.")
        if (other := taken.setdefault(key, source)) != source:
            raise StudyError(f"{source}: would be written over that of {other}; rename one, or give two folders.")
        yield source, target


def _inputs(given: list[str], endings: set[str]) -> list[Path]:
    found: list[Path] = []
    for text in given:
        path = Path(text).expanduser()
        if path.is_dir():
            inside = (file for file in path.iterdir() if not file.name.startswith("."))
            inside = [file for file in sorted(inside) if file.suffix.lower() in endings and not _is_ours(file)]
            if not inside:
                raise StudyError(f"{path}: no photograph or clip in this folder; give another.")
            found += inside
        elif path.is_file():
            if len(given) == 1 or not _is_ours(path):
                found.append(path)
        elif matching := sorted(map(Path, glob.glob(str(path), recursive=True))):
            found += [file for file in matching if file.is_file() and not _is_ours(file)]
        else:
            raise StudyError(f"{path}: no such file or folder, and no pattern that fits one; check the path.")
    if not found:
        raise StudyError("enhance: no input but earlier outputs, or none; give files, folders or patterns.")
    return list(dict.fromkeys(found))


def _is_ours(file: Path) -> bool:
    """Whether it is an output, which has a record, or lies beside one."""
    made = (".record.json", ".record.html", ".frames.csv", ".consistency.png", ".c2pa")
    return file.name.endswith(made) or file.with_name(f"{file.name}.record.json").is_file()


COMMANDS = {"enhance": _enhance, "verify": _verify, "models": _models, "serve": serving.serve, "worker": serving.worker}
