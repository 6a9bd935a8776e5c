"""A nano SAM2: the real ``sam2`` classes at a size that trains on two CPU cores and fits a repository."""

from __future__ import annotations

from typing import Any

WIDTH = 128
"""Channels of embeddings and tokens."""

MEMORY_WIDTH = 32

_ROPE = 'sam2.modeling.sam.transformer.RoPEAttention'


def nano_config(image_size: int = 256) -> dict[str, Any]:
    """The configuration in SAM 2.1's layout, for ``sam2amml_core.masks.sam2_model.build``.

    Weights do not depend on ``image_size`` (a multiple of 32, at least 64), so training can begin with a small one.
    """
    grid = image_size // 16
    return {'model': {
        '_target_': 'sam2.modeling.sam2_base.SAM2Base',
        'image_encoder': {
            '_target_': 'sam2.modeling.backbones.image_encoder.ImageEncoder', 'scalp': 1,
            'trunk': {
                '_target_': 'sam2.modeling.backbones.hieradet.Hiera', 'embed_dim': 32, 'num_heads': 1,
                'stages': [1, 2, 4, 1], 'global_att_blocks': [4, 6], 'window_spec': [8, 4, 8, 8],
                'window_pos_embed_bkg_spatial_size': [8, 8],
            },
            'neck': {
                '_target_': 'sam2.modeling.backbones.image_encoder.FpnNeck', 'position_encoding': _sine(WIDTH),
                'd_model': WIDTH, 'backbone_channel_list': [256, 128, 64, 32], 'fpn_top_down_levels': [0, 1, 2, 3],
                'fpn_interp_model': 'nearest',
            },
        },
        'memory_attention': {
            '_target_': 'sam2.modeling.memory_attention.MemoryAttention', 'd_model': WIDTH, 'pos_enc_at_input': True,
            'num_layers': 1,
            'layer': {
                '_target_': 'sam2.modeling.memory_attention.MemoryAttentionLayer', 'activation': 'relu',
                'dim_feedforward': 2 * WIDTH, 'dropout': 0.0, 'pos_enc_at_attn': False, 'd_model': WIDTH,
                'pos_enc_at_cross_attn_keys': True, 'pos_enc_at_cross_attn_queries': False,
                'self_attention': _rope(grid), 'cross_attention': {
                    **_rope(grid), 'rope_k_repeat': True, 'kv_in_dim': MEMORY_WIDTH},
            },
        },
        'memory_encoder': {
            '_target_': 'sam2.modeling.memory_encoder.MemoryEncoder', 'in_dim': WIDTH, 'out_dim': MEMORY_WIDTH,
            'position_encoding': _sine(MEMORY_WIDTH),
            'mask_downsampler': {'_target_': 'sam2.modeling.memory_encoder.MaskDownSampler', 'embed_dim': WIDTH,
                                 'kernel_size': 3, 'stride': 2, 'padding': 1},
            'fuser': {
                '_target_': 'sam2.modeling.memory_encoder.Fuser', 'num_layers': 1,
                'layer': {'_target_': 'sam2.modeling.memory_encoder.CXBlock', 'dim': WIDTH, 'kernel_size': 7,
                          'padding': 3, 'layer_scale_init_value': 1e-6, 'use_dwconv': True},
            },
        },
        'num_maskmem': 4, 'image_size': image_size, 'sigmoid_scale_for_mem_enc': 20.0,
        'sigmoid_bias_for_mem_enc': -10.0, 'use_mask_input_as_output_without_sam': True,
        'directly_add_no_mem_embed': True, 'no_obj_embed_spatial': True, 'use_high_res_features_in_sam': True,
        'multimask_output_in_sam': True, 'iou_prediction_use_sigmoid': True, 'use_obj_ptrs_in_encoder': True,
        'add_tpos_enc_to_obj_ptrs': True, 'proj_tpos_enc_in_obj_ptrs': True, 'use_signed_tpos_enc_to_obj_ptrs': True,
        'only_obj_ptrs_in_the_past_for_eval': True, 'pred_obj_scores': False, 'multimask_output_for_tracking': True,
        'use_multimask_token_for_obj_ptr': True, 'multimask_min_pt_num': 0, 'multimask_max_pt_num': 1,
        'use_mlp_for_obj_ptr_proj': True, 'compile_image_encoder': False,
    }}


def _sine(features: int) -> dict[str, Any]:
    return {'_target_': 'sam2.modeling.position_encoding.PositionEmbeddingSine', 'num_pos_feats': features,
            'normalize': True, 'scale': None, 'temperature': 10000}


def _rope(grid: int) -> dict[str, Any]:
    return {'_target_': _ROPE, 'rope_theta': 10000.0, 'feat_sizes': [grid, grid], 'embedding_dim': WIDTH,
            'num_heads': 1, 'downsample_rate': 1, 'dropout': 0.0}
