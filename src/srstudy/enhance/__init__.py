"""Photographs and clips, enlarged four times, with a record of what was done. Needs no TensorFlow.

command     the shell's words                      models      names -> an ONNX file and its card
work        one file, and its record again         record      JSON, and a page to print
photo       any photograph, in strips              clip        any clip, in segments
tiles       tiled is equal to whole                writing     segments -> a clip with its sound
steps       denoising, blend, CLAHE, mark          metadata    what is kept of EXIF and XMP
engine      the network                            signing     content credentials
"""
