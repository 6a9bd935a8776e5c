"""Pictures of labelled sweeps: from above, over camera images, and as GIF or video."""

from sam2amml_core.viz.bird_eye import bird_eye
from sam2amml_core.viz.labelled_view import labelled_view
from sam2amml_core.viz.moving import write_gif, write_video
from sam2amml_core.viz.overlay import overlay
from sam2amml_core.viz.palette import palette

__all__ = ['bird_eye', 'labelled_view', 'overlay', 'palette', 'write_gif', 'write_video']
